from __future__ import annotations

import inspect
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from queen.errors import FitError, ShapeMismatch
from queen.method.answers.decoy import (
    LARGEST_RANK,
    LEAST_RANK,
    Decoy,
    SketchSpace,
    fit_sketch_space,
    make_decoy,
    sketch_inputs,
    sketch_width,
)
from queen.method.contracts import check_simplex

SECRET, DIGEST = b"a secret of 16 bytes", "5e" * 32
CLASSES, RANK, WIDTH = 10, 8, 12
PINNED = "0ad7a33d0000803e85eb113fcdcccc3d"


def _space(confidence: float = 0.8, classes: int = CLASSES, rank: int = RANK) -> SketchSpace:
    """Axes that are the first numbers of a sketch, and classes that lie a little apart."""
    rng = np.random.default_rng(3)
    means = 0.5 * rng.normal(size=(classes, rank))
    axes = np.eye(WIDTH, rank, dtype=np.float32)
    return SketchSpace(np.zeros(WIDTH, np.float32), axes, means.astype(np.float32), confidence)


def _sketches(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def _blobs(apart: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sketches (2000, 12) of ten classes, and their labels."""
    rng = np.random.default_rng(9)
    labels = np.arange(2000) % CLASSES
    centers = apart * rng.normal(size=(CLASSES, WIDTH))
    return centers[labels] + rng.normal(size=(2000, WIDTH)), labels


def test_answers_are_on_the_simplex_and_no_class_is_zero() -> None:
    """As a softmax would be: nothing in the numbers says that they are a decoy's."""
    for confidence in (0.2, 0.8, 0.999):
        answers = make_decoy(SECRET, DIGEST, _space(confidence)).answers(_sketches(500))
        check_simplex(answers)
        assert answers.dtype == np.float32
        assert (answers > 0).all()


def test_a_sketch_gets_the_same_bits_alone_and_in_any_batch() -> None:
    """In batches of 1 to 70, at their start, and turned around."""
    decoy, sketches = make_decoy(SECRET, DIGEST, _space()), _sketches(70)
    whole = decoy.answers(sketches)
    for size in range(1, 71):
        np.testing.assert_array_equal(decoy.answers(sketches[:size]), whole[:size])
        turned = decoy.answers(sketches[:size][::-1])
        np.testing.assert_array_equal(turned[::-1], whole[:size])


def test_secret_and_digest_are_the_key() -> None:
    """The same pair gives the same decoy to the bit; another of either gives another."""
    sketches = _sketches(40)
    answers = make_decoy(SECRET, DIGEST, _space()).answers(sketches)
    np.testing.assert_array_equal(make_decoy(SECRET, DIGEST, _space()).answers(sketches), answers)
    for secret, digest in ((b"another secret 16", DIGEST), (SECRET, "00" * 32)):
        other = make_decoy(secret, digest, _space()).answers(sketches)
        assert (other.argmax(axis=1) != answers.argmax(axis=1)).mean() > 0.5


def test_answers_do_not_depend_on_the_protectee() -> None:
    """A decoy is made of a key and a frame and asked with sketches: p, f and z do not enter."""
    assert list(inspect.signature(make_decoy).parameters) == ["secret", "bundle_digest", "space"]
    assert list(inspect.signature(Decoy.answers).parameters) == ["self", "sketches"]
    assert list(inspect.signature(sketch_inputs).parameters) == ["inputs"]


def test_inputs_of_one_sketch_get_one_answer() -> None:
    """Whatever they look like in detail: pixels change places within their blocks."""
    rng = np.random.default_rng(4)
    images = rng.random((20, 28, 28))
    blocks = images.reshape(20, 7, 4, 7, 4)
    other = blocks[:, :, ::-1, :, ::-1].reshape(20, 28, 28)
    first, second = sketch_inputs(images), sketch_inputs(other)
    assert np.abs(images - other).max() > 0.5
    np.testing.assert_allclose(first, second, atol=1e-12)
    space = fit_sketch_space(first, np.arange(20) % 2, 2, 0.8)
    decoy = make_decoy(SECRET, DIGEST, space)
    np.testing.assert_allclose(decoy.answers(first), decoy.answers(second), atol=1e-6)


@pytest.mark.parametrize("confidence", [0.3, 0.6, 0.9, 0.99])
def test_the_mean_confidence_is_the_protectees(confidence: float) -> None:
    """On sketches like the training set's, a decoy is as sure as what it stands in for."""
    answers = make_decoy(SECRET, DIGEST, _space(confidence)).answers(_sketches(5000, seed=1))
    assert answers.max(axis=1).mean() == pytest.approx(confidence, abs=0.02)


def test_every_class_is_answered() -> None:
    """About as often as any other: no class is missing, and none is half of all."""
    for secret in (SECRET, b"another secret 16", b"a third secret 16"):
        answers = make_decoy(secret, DIGEST, _space()).answers(_sketches(5000))
        shares = np.bincount(answers.argmax(axis=1), minlength=CLASSES) / 5000
        assert shares.min() > 0.02
        assert shares.max() < 0.25


@pytest.mark.parametrize("apart", [0.5, 3.0, 30.0])
def test_a_decoy_is_right_no_more_often_than_chance(apart: float) -> None:
    """On the classes' own sketches, whether they overlap or lie far apart."""
    sketches, labels = _blobs(apart)
    space = fit_sketch_space(sketches, labels, CLASSES, 0.9)
    agreements = []
    for number in range(6):
        decoy = make_decoy(bytes([number]) * 16, DIGEST, space)
        predicted = decoy.answers(sketches.astype(np.float32)).argmax(axis=1)
        agreements.append((predicted == labels).mean())
    # Classes far apart are right or wrong as a whole, a tenth of the samples each.
    assert max(agreements) <= 0.2
    assert np.mean(agreements) <= 0.12


def test_the_bits_of_an_answer_do_not_change_with_an_upgrade() -> None:
    """Replicas of two versions must agree; a new stream would also show who is flagged."""
    decoy = make_decoy(SECRET, DIGEST, _space(classes=4))
    answers = decoy.answers(np.linspace(-1, 1, WIDTH, dtype=np.float32)[None])
    assert answers.tobytes().hex() == PINNED


@pytest.mark.parametrize(
    ("shape", "width"),
    [
        ((28, 28), 49),
        ((28, 27), 49),
        ((7, 7), 49),
        ((1, 28, 28), 49),
        ((3, 32, 32), 49),
        ((32, 32, 3), 49),
        ((8, 8, 3), 49),
        ((6, 28), 64),
        ((3, 6, 6), 64),
        ((784,), 64),
        ((65,), 64),
        ((64,), 64),
        ((10,), 10),
        ((1,), 1),
        ((2, 3, 4, 5), 64),
        ((), 1),
    ],
)
def test_the_width_of_a_sketch_follows_the_input(shape: tuple[int, ...], width: int) -> None:
    """Images of at least 7 x 7 have 49 numbers; anything else at most 64, and as many as it has."""
    assert sketch_width(shape) == width
    rng = np.random.default_rng(2)
    sketches = sketch_inputs(rng.random((5, *shape)))
    assert sketches.shape == (5, width)
    assert sketch_inputs(np.empty((0, *shape), np.float32)).shape == (0, width)


def _block_means(image: NDArray[Any]) -> list[float]:
    """Means of 7 x 7 blocks of one plane (H, W), by slices."""
    (high, wide), side = image.shape, range(7)
    return [
        float(
            image[i * high // 7 : (i + 1) * high // 7, j * wide // 7 : (j + 1) * wide // 7].mean()
        )
        for i in side
        for j in side
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int64])
@pytest.mark.parametrize(("high", "wide"), [(28, 28), (28, 27), (9, 64)])
def test_an_image_becomes_the_brightness_of_its_blocks(
    dtype: type[np.generic], high: int, wide: int
) -> None:
    """The same numbers whatever the type and wherever the channels are."""
    rng = np.random.default_rng(5)
    planes = rng.integers(0, 256, (4, 3, high, wide)).astype(dtype)
    expected = [_block_means(image.astype(np.float64).mean(axis=0)) for image in planes]
    np.testing.assert_allclose(sketch_inputs(planes), expected, rtol=1e-9)
    np.testing.assert_allclose(sketch_inputs(planes.transpose(0, 2, 3, 1)), expected, rtol=1e-9)
    gray = [_block_means(image.astype(np.float64)) for image in planes[:, 0]]
    np.testing.assert_allclose(sketch_inputs(planes[:, 0]), gray, rtol=1e-9)


def test_a_flat_input_becomes_the_means_of_its_stretches() -> None:
    """As equal as may be; up to 64 numbers are their own sketch."""
    flat = np.arange(260, dtype=np.int64).reshape(2, 130)
    edges = [stretch * 130 // 64 for stretch in range(65)]
    expected = [[row[a:b].mean() for a, b in pairwise(edges)] for row in flat]
    np.testing.assert_allclose(sketch_inputs(flat), expected)
    np.testing.assert_array_equal(sketch_inputs(flat[:, :64]), flat[:, :64])


def test_a_sketch_is_of_its_own_row() -> None:
    """The same bits alone and among others."""
    images = np.random.default_rng(6).random((33, 3, 32, 32), np.float32)
    whole = sketch_inputs(images)
    for row in (0, 17, 32):
        np.testing.assert_array_equal(sketch_inputs(images[row : row + 1])[0], whole[row])


@pytest.mark.parametrize("far", [1e10, 1e30, -1e38])
def test_inputs_far_from_the_training_set_make_no_nan(far: float) -> None:
    """Nor do they make one class certain: each axis counts for four deviations at most."""
    decoy = make_decoy(SECRET, DIGEST, _space(0.9))
    sketches = _sketches(30)
    sketches[:, ::2] += np.float32(far)
    answers = decoy.answers(sketches)
    check_simplex(answers)
    assert (answers > 0).all()


def test_inputs_that_float32_cannot_hold_have_a_finite_sketch() -> None:
    """One account's float64 extremes must not fail the batch that carries others."""
    extreme = np.full((2, 3, 28, 28), 1.7e308)
    extreme[1, :, ::2] *= -1
    flat = np.array([[1.7e308, -1.7e308] * 100])
    for sketches in (sketch_inputs(extreme), sketch_inputs(flat)):
        assert np.isfinite(sketches.astype(np.float32)).all()


def test_the_space_is_white_on_its_training_set() -> None:
    """Axes are uncorrelated and of variance 1, and the class means are those of the projection."""
    sketches, labels = _blobs(1.0)
    space = fit_sketch_space(sketches, labels, CLASSES, 0.9)
    projected = (sketches - space.mean) @ space.axes
    rank = space.axes.shape[1]
    assert LEAST_RANK <= rank <= WIDTH
    np.testing.assert_allclose(np.cov(projected.T), np.eye(rank), atol=1e-4)
    for label in range(CLASSES):
        mean = projected[labels == label].mean(axis=0)
        np.testing.assert_allclose(space.class_means[label], mean, atol=1e-4)


def test_axes_are_those_of_most_of_the_variance() -> None:
    """95 % of it, in 4 to 16 axes where there are as many; what does not vary is none."""
    rng = np.random.default_rng(7)

    def rank(deviations: list[float]) -> int:
        sketches = rng.normal(size=(4000, len(deviations))) * deviations
        return fit_sketch_space(sketches, np.arange(4000) % 3, 3, 0.9).axes.shape[1]

    assert rank([1.0] * 6 + [0.01] * 20) == 6
    assert rank([1.0] * 40) == LARGEST_RANK
    # One column in other units than the rest: on one axis, only two classes would be answered.
    assert rank([1000.0] + [1.0] * 9) == LEAST_RANK
    assert rank([1.0, 1.0, 0.0, 0.0, 0.0]) == 2
    assert rank([1.0]) == 1


def test_the_space_does_not_depend_on_the_signs_that_a_solver_chose() -> None:
    """The largest number of each axis is positive."""
    sketches, labels = _blobs(1.0)
    axes = fit_sketch_space(sketches, labels, CLASSES, 0.9).axes
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] > 0).all()


def test_inputs_that_are_all_the_same_cannot_be_fitted() -> None:
    """There is no axis to draw a decoy along."""
    with pytest.raises(FitError, match="expected inputs that differ"):
        fit_sketch_space(np.ones((20, 5)), np.arange(20) % 2, 2, 0.9)


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"mean": np.zeros(3, np.float32)}, "a mean"),
        ({"axes": np.zeros(12, np.float32)}, "a mean"),
        ({"class_means": np.zeros((10, 7), np.float32)}, "class means"),
        ({"mean": np.full(WIDTH, np.nan, np.float32)}, "finite"),
        ({"axes": np.full((WIDTH, RANK), np.inf, np.float32)}, "finite"),
        ({"class_means": np.full((10, RANK), np.nan, np.float32)}, "finite"),
        ({"confidence": 0.0}, "confidence"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
    ],
)
def test_a_space_that_cannot_be_is_refused(part: dict[str, Any], problem: str) -> None:
    """A NaN in it would be a NaN in every answer."""
    space = _space()
    good: dict[str, Any] = {
        "mean": space.mean,
        "axes": space.axes,
        "class_means": space.class_means,
        "confidence": 0.8,
    }
    with pytest.raises(ShapeMismatch, match=problem):
        SketchSpace(**good | part)


@pytest.mark.parametrize("shape", [(4, WIDTH + 1), (WIDTH,), (2, 3, WIDTH)])
def test_sketches_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    """The message says what was expected."""
    decoy = make_decoy(SECRET, DIGEST, _space())
    with pytest.raises(ShapeMismatch, match=rf"expected sketches \(B, {WIDTH}\)"):
        decoy.answers(np.zeros(shape, np.float32))


@pytest.mark.parametrize("classes", [2, 3, 200])
def test_few_and_many_classes_have_a_decoy(classes: int) -> None:
    """Two classes, and more classes than axes."""
    decoy = make_decoy(SECRET, DIGEST, _space(classes=classes))
    answers = decoy.answers(_sketches(20_000 if classes == 200 else 500))
    check_simplex(answers)
    assert answers.shape[1] == classes
    assert len(np.unique(answers.argmax(axis=1))) > 0.9 * classes
