from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from queen.errors import ShapeMismatch
from queen.method.answers.label_preserving import (
    MAX_STEPS,
    STEP,
    LinearHead,
    largest_steps,
    preserve_label,
    softmax,
)
from queen.method.contracts import check_label_kept, check_simplex
from tests.unit.method.regions import bounded

Single = NDArray[np.float32]


def _head(rng: np.random.Generator, classes: int, width: int, spread: float = 1.5) -> LinearHead:
    return LinearHead(
        rng.normal(size=(classes, width)).astype(np.float32),
        rng.normal(size=classes).astype(np.float32),
        rng.normal(size=(classes, width)).astype(np.float32) * 2,
        spread,
    )


def _logits(head: LinearHead, features: Single) -> Single:
    exact = features.astype(np.float64) @ head.weight.astype(np.float64).T + head.bias
    return exact.astype(np.float32)


def _step_loop(head: LinearHead, feature: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The published loop: step while the label stays, at most 20 times; answer and steps."""
    weight, bias = head.weight.astype(np.float64), head.bias.astype(np.float64)
    gaps = [np.linalg.norm(center - feature) for center in head.feature_centers]
    far = head.feature_centers[int(np.argmax(gaps))].astype(np.float64)
    direction = (far - feature) / np.linalg.norm(far - feature)
    best = weight @ feature + bias
    label, steps_kept = int(np.argmax(best)), 0
    for step in range(1, MAX_STEPS + 1):
        moved = weight @ (feature + step * STEP * head.spread * direction) + bias
        if int(np.argmax(moved)) != label:
            break
        best, steps_kept = moved, step
    exponents = np.exp(best - best.max())
    return exponents / exponents.sum(), steps_kept


@pytest.mark.parametrize(("classes", "width"), [(2, 3), (10, 32), (40, 7)])
def test_the_closed_form_is_the_step_loop(classes: int, width: int) -> None:
    """Equal to 5e-6 to the loop that runs the head again after every step."""
    rng = np.random.default_rng(classes)
    head = _head(rng, classes, width)
    features = rng.normal(size=(300, width)).astype(np.float32)
    answers = preserve_label(head, _logits(head, features), features)
    steps = []
    for feature, answer in zip(features.astype(np.float64), answers, strict=True):
        expected, steps_kept = _step_loop(head, feature)
        np.testing.assert_allclose(answer, expected, atol=5e-6)
        steps.append(steps_kept)
    # The comparison means little unless rows stop at once, on the way and at the end.
    assert min(steps) == 0
    assert any(0 < steps_kept < MAX_STEPS for steps_kept in steps)
    assert max(steps) == MAX_STEPS


def _awkward_features(rng: np.random.Generator, head: LinearHead) -> Single:
    """Features at random, on the centers, at the origin, between two classes, and far out."""
    width = head.weight.shape[1]
    between = (head.feature_centers[0] + head.feature_centers[-1]) / 2
    return np.concatenate(
        [
            rng.normal(size=(6, width)),
            head.feature_centers,
            np.zeros((1, width)),
            between[None],
            1e4 * rng.normal(size=(2, width)),
            1e-6 * rng.normal(size=(2, width)),
        ]
    ).astype(np.float32)


@given(st.integers(2, 50), st.integers(1, 12), st.integers(0, 2**32 - 1))
@bounded
def test_the_label_is_kept_on_the_simplex(classes: int, width: int, seed: int) -> None:
    """Whatever the feature, the answer is a distribution with the label of the logits."""
    rng = np.random.default_rng(seed)
    head = _head(rng, classes, width, spread=float(rng.choice([1e-3, 1.0, 100.0])))
    features = _awkward_features(rng, head)
    logits = _logits(head, features)
    answers = preserve_label(head, logits, features)
    check_simplex(answers)
    check_label_kept(answers, logits)


@given(st.integers(2, 50), st.integers(0, 2**32 - 1))
@bounded
def test_the_label_is_kept_where_logits_tie(classes: int, seed: int) -> None:
    """Logits on a coarse grid, where the first of the largest is the label."""
    rng = np.random.default_rng(seed)
    head = _head(rng, classes, 3)
    features = rng.normal(size=(12, 3)).astype(np.float32)
    logits = rng.integers(-1, 2, (12, classes)).astype(np.float32)
    logits[0] = 0
    answers = preserve_label(head, logits, features)
    check_simplex(answers)
    check_label_kept(answers, logits)


def test_a_rounding_tie_is_undone() -> None:
    """Logits that differ by less than float32 probabilities can show keep their order."""
    head = LinearHead(
        np.zeros((2, 1), np.float32), np.zeros(2, np.float32), np.ones((2, 1), np.float32), 1.0
    )
    logits = np.array([[1e-9, 2e-9]], np.float32)
    answers = preserve_label(head, logits, np.zeros((1, 1), np.float32))
    assert answers.argmax() == 1
    check_simplex(answers)


def test_a_feature_on_the_farthest_center_stays_where_it_is() -> None:
    """Where all feature centers coincide with the feature there is no direction, and no NaN."""
    rng = np.random.default_rng(4)
    centers = np.repeat(rng.normal(size=(1, 5)).astype(np.float32), 3, axis=0)
    weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (3,)))
    head = LinearHead(weight, bias, centers, 1.0)
    # Logits as a graph in float32 gives them, not quite W f + b.
    logits = _logits(head, centers[:1]) + np.float32(1e-6)
    answers = preserve_label(head, logits, centers[:1])
    np.testing.assert_array_equal(answers, softmax(logits).astype(np.float32))


@pytest.mark.parametrize(("classes", "width"), [(3, 5), (10, 64), (50, 33)])
def test_a_row_has_the_same_bits_alone_and_in_any_batch(classes: int, width: int) -> None:
    """Neither the size of a batch nor the place in it changes one bit of an answer."""
    rng = np.random.default_rng(width)
    head = _head(rng, classes, width)
    features = rng.normal(size=(97, width)).astype(np.float32)
    logits = _logits(head, features)
    whole = preserve_label(head, logits, features)
    for size in (1, 2, 3, 16, 31, 64, 97):
        for _ in range(8):
            rows = rng.permutation(97)[:size]
            part = preserve_label(head, logits[rows], features[rows])
            np.testing.assert_array_equal(part, whole[rows])


def test_a_step_grows_with_the_spread_of_the_features() -> None:
    """The same model in features ten times larger is softened to the same answers."""
    rng = np.random.default_rng(5)
    head = _head(rng, 4, 6)
    larger = LinearHead(
        head.weight / np.float32(16), head.bias, head.feature_centers * 16, head.spread * 16
    )
    features = rng.normal(size=(20, 6)).astype(np.float32)
    logits = _logits(head, features)
    one = preserve_label(head, logits, features)
    other = preserve_label(larger, logits, features * 16)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_answers_are_softened() -> None:
    """The perturbation does something: the label's probability falls on average."""
    rng = np.random.default_rng(6)
    head = _head(rng, 10, 16)
    features = rng.normal(size=(50, 16)).astype(np.float32)
    logits = _logits(head, features)
    own, answers = softmax(logits), preserve_label(head, logits, features)
    assert answers.max(axis=1).mean() < own.max(axis=1).mean() - 0.05


def test_a_step_that_would_tie_is_not_taken() -> None:
    """At a tie the label may be another's: the last step before it is the largest."""
    logits = np.array([[3.0, 0.0]], np.float32)
    direction = np.array([[0.0, 1.0]])
    label = np.array([0])
    assert largest_steps(logits, direction, label, 1.0).tolist() == [2.0]
    assert largest_steps(logits, direction, label, 0.99).tolist() == [3.0]
    assert largest_steps(logits, -direction, label, 1.0).tolist() == [MAX_STEPS]
    assert largest_steps(np.zeros((1, 2), np.float32), direction, label, 1.0).tolist() == [0.0]


def test_no_rows_give_no_answers() -> None:
    """An empty batch is not an error."""
    head = _head(np.random.default_rng(0), 3, 4)
    empty = np.empty((0, 3), np.float32), np.empty((0, 4), np.float32)
    assert preserve_label(head, *empty).shape == (0, 3)


@pytest.mark.parametrize("spread", [0.0, -1.0, np.nan, np.inf])
def test_a_spread_that_is_no_length_is_refused(spread: float) -> None:
    """A step of no length would soften nothing, silently."""
    with pytest.raises(ShapeMismatch, match="feature spread above 0"):
        _head(np.random.default_rng(0), 3, 4, spread)


def test_a_head_whose_parts_disagree_is_refused() -> None:
    """W (C, D), b (C,) and feature centers (C, D) must be of one C and one D."""
    weight, bias = np.ones((3, 4), np.float32), np.ones(3, np.float32)
    for parts in [
        (weight, bias[:2], weight),
        (weight, bias, weight[:, :3]),
        (weight, bias, weight[:2]),
        (bias, bias, bias),
    ]:
        with pytest.raises(ShapeMismatch, match=r"expected W \(C, D\)"):
            LinearHead(*parts, 1.0)


def test_a_head_with_a_nan_is_refused() -> None:
    """A NaN in the head would fail the contract of every answer."""
    weight, bias = np.ones((3, 4), np.float32), np.ones(3, np.float32)
    broken = weight.copy()
    broken[1, 1] = np.nan
    for parts in [(broken, bias, weight), (weight, bias, broken), (weight, bias * np.inf, weight)]:
        with pytest.raises(ShapeMismatch, match="finite"):
            LinearHead(*parts, 1.0)
