from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from queen.bundle.manifest import ShadowSpec
from queen.errors import FitError
from queen.method.answers.ensemble import (
    ARCHITECTURES,
    ShadowDraw,
    ShadowEnsemble,
    ShadowNetwork,
    build_shadow,
)
from tests.unit.method.regions import discs

SECRET = b"sixteen bytes or more"
DIGEST = "ab" * 32


def _shadows(architecture: str, shape: tuple[int, ...], count: int) -> list[ShadowNetwork]:
    torch.manual_seed(7)
    return [build_shadow(architecture, shape, 5) for _ in range(count)]


def _draw(
    embeddings: NDArray[np.float32], labels: list[int], secret: bytes = SECRET, digest: str = DIGEST
) -> NDArray[np.int64]:
    draw = ShadowDraw(secret, digest, discs(3), count=10, drawn=4)
    return draw.members(embeddings, np.array(labels, np.int64))


def _spread_points(count: int) -> tuple[NDArray[np.float32], list[int]]:
    """Points in as many cells."""
    points = np.stack([np.arange(count) * 0.1 + 0.05, np.full(count, 0.05)], axis=1)
    return points.astype(np.float32), [0] * count


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("head", (16,)),
        ("mlp", (16,)),
        ("mlp", (3, 4, 2)),
        *((image, shape) for image in ("cnn", "resnet") for shape in ((8, 8), (3, 8, 8))),
        *((image, (12, 12, 1)) for image in ("cnn", "resnet")),
    ],
)
def test_each_architecture_takes_the_shapes_it_says(
    architecture: str, shape: tuple[int, ...]
) -> None:
    """Logits (B, C) for vectors and for images with their channels nowhere, first or last."""
    shadow = build_shadow(architecture, shape, 5)
    assert shadow(torch.zeros(2, *shape)).shape == (2, 5)


def test_channels_last_images_are_read_as_images() -> None:
    """The same picture, channels first or last, gives the same logits."""
    torch.manual_seed(0)
    first, last = build_shadow("cnn", (3, 8, 8), 5), build_shadow("cnn", (8, 8, 3), 5)
    last.load_state_dict(first.state_dict())
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(first(images), last(images.permute(0, 2, 3, 1)))


@pytest.mark.parametrize(
    ("architecture", "shape", "problem"),
    [
        ("transformer", (8,), "expected a shadow architecture of head, mlp, cnn, resnet"),
        ("cnn", (64,), "expected images of 2 or 3 axes"),
        ("resnet", (1, 2, 3, 4), "expected images of 2 or 3 axes"),
    ],
)
def test_an_architecture_that_no_shadow_has_is_refused(
    architecture: str, shape: tuple[int, ...], problem: str
) -> None:
    """An unknown name and a shape that is no image say what was expected."""
    with pytest.raises(FitError, match=problem):
        build_shadow(architecture, shape, 5)


def test_inputs_of_any_range_are_standardized() -> None:
    """Pixels of 0..255 and of 0..1 give one result once each range is told."""
    torch.manual_seed(1)
    shadow = build_shadow("mlp", (6,), 5)
    inputs = torch.rand(4, 6)
    shadow.standardize(0.5, 0.25)
    expected = shadow(inputs)
    shadow.standardize(127.5, 63.75)
    torch.testing.assert_close(shadow(inputs * 255), expected, atol=1e-4, rtol=1e-4)
    shadow.standardize(0.0, 0.0)
    assert shadow.input_scale == 1


@pytest.mark.parametrize("drawn", [1, 2, 4])
def test_the_mean_is_over_the_members_that_a_row_drew(drawn: int) -> None:
    """Row by row against each shadow's own softmax, in float64."""
    ensemble = ShadowEnsemble(_shadows("mlp", (6,), 4))
    alone = _shadows("mlp", (6,), 4)
    inputs = torch.randn(9, 6)
    rng = np.random.default_rng(0)
    members = np.stack([rng.permutation(4)[:drawn] for _ in range(9)])
    mean = ensemble.mean_probabilities(inputs, members)
    assert mean.dtype == torch.float64
    for row in range(9):
        own = [
            torch.softmax(alone[i].double()(inputs[row : row + 1].double()), 1)[0]
            for i in members[row]
        ]
        torch.testing.assert_close(mean[row], torch.stack(own).mean(0).detach())


@pytest.mark.parametrize(
    ("architecture", "shape"), [("head", (33,)), ("mlp", (33,)), ("cnn", (8, 8))]
)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(
    architecture: str, shape: tuple[int, ...]
) -> None:
    """Rounded to float32, q does not depend on what else is in the batch."""
    ensemble = ShadowEnsemble(_shadows(architecture, shape, 4))
    inputs = torch.randn(41, *shape)
    rng = np.random.default_rng(1)
    members = np.stack([rng.permutation(4)[:2] for _ in range(41)])
    whole = ensemble.mean_probabilities(inputs, members).float()
    for size in (1, 2, 7, 16, 40):
        for _ in range(4):
            rows = rng.permutation(41)[:size]
            part = ensemble.mean_probabilities(inputs[rows], members[rows]).float()
            assert torch.equal(part, whole[rows])


def test_the_shadows_that_are_given_stay_as_they_are() -> None:
    """An ensemble works on copies: a fit that measures its shadows then writes what it trained."""
    shadows = _shadows("mlp", (6,), 2)
    ShadowEnsemble(shadows).mean_probabilities(torch.randn(3, 6), np.array([[0, 1]] * 3))
    for shadow in shadows:
        assert shadow.training
        assert {tensor.dtype for tensor in shadow.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("member", [-1, 4])
def test_a_member_that_is_not_loaded_is_an_error(member: int) -> None:
    """Its share would silently be missing from the mean."""
    ensemble = ShadowEnsemble(_shadows("head", (6,), 4))
    with pytest.raises(FitError, match=r"expected members in 0\.\.3"):
        ensemble.mean_probabilities(torch.randn(1, 6), np.array([[0, member]]))


def test_an_ensemble_of_none_is_an_error() -> None:
    """Neither without shadows nor without rows is there a mean."""
    with pytest.raises(FitError, match="at least 1 shadow"):
        ShadowEnsemble([])
    ensemble = ShadowEnsemble(_shadows("head", (6,), 1))
    with pytest.raises(FitError, match="at least 1 row"):
        ensemble.mean_probabilities(torch.empty(0, 6), np.empty((0, 1), np.int64))


def test_a_draw_is_of_distinct_members() -> None:
    """K of n without repetition, within 0..n-1, for every row."""
    drawn = _draw(*_spread_points(300))
    assert drawn.shape == (300, 4)
    assert all(len(set(row)) == 4 for row in drawn.tolist())
    assert drawn.min() == 0
    assert drawn.max() == 9


def test_a_draw_favors_no_member() -> None:
    """Over many cells every member is drawn about as often, in every place."""
    drawn = _draw(*_spread_points(4000))
    for position in range(4):
        counts = np.bincount(drawn[:, position], minlength=10)
        # 400 expected, standard deviation 19.
        assert (np.abs(counts - 400) < 100).all()


def test_neighbors_in_one_cell_share_a_draw() -> None:
    """A cell is a cube of side r: a hair's difference does not redraw, a cell's does."""
    inside = np.array([[0.41, 0.01], [0.49, 0.09], [0.51, 0.09]], np.float32)
    drawn = _draw(inside, [0, 0, 0]).tolist()
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_draw_follows_secret_bundle_label_and_cell() -> None:
    """Each part of the key changes the draws of nearly every cell; a row's place does not."""
    points, labels = _spread_points(50)
    base = _draw(points, labels)
    others = [
        _draw(points, labels, secret=b"another secret, long enough"),
        _draw(points, labels, digest="cd" * 32),
        # The same cells around the next class's center.
        _draw(points + np.array([10, 0], np.float32), [1] * 50),
        _draw(points + np.array([0, 1], np.float32), labels),
    ]
    for other in others:
        assert (base == other).all(axis=1).sum() < 5
    np.testing.assert_array_equal(_draw(points[::-1], labels), base[::-1])


@pytest.mark.parametrize("drawn", [0, 11])
def test_a_draw_of_more_than_there_are_is_refused(drawn: int) -> None:
    """1 to n shadows can be drawn of n."""
    with pytest.raises(FitError, match=f"expected to draw 1 to 10 shadows, got {drawn}"):
        ShadowDraw(SECRET, DIGEST, discs(1), count=10, drawn=drawn)


def test_embeddings_far_out_still_draw() -> None:
    """A cell number beyond 64 bits is clipped, not wrapped or undefined."""
    far = np.array([[3e38, -3e38]], np.float32)
    assert len(set(_draw(far, [0])[0].tolist())) == 4


def test_no_rows_draw_nothing() -> None:
    """An empty batch keeps its shape."""
    assert _draw(np.empty((0, 2), np.float32), []).shape == (0, 4)


def test_the_architectures_are_the_ones_the_manifest_knows() -> None:
    """A bundle can name every architecture, and no other."""
    assert set(get_args(ShadowSpec.model_fields["architecture"].annotation)) == set(ARCHITECTURES)
