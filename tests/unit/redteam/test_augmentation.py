"""Augmentation: changes that are small, drawn for each input, and the same for a seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from queen.redteam.augmentation import Augmentation, augmentation_for, shifted

SHAPES = {"digits": (64,), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32), "any:7:3": (7,)}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _dots() -> Tensor:
    images = torch.zeros(64, 2, 9, 9)
    images[:, :, 4, 4] = 1
    return images


@pytest.mark.parametrize("dataset", sorted(SHAPES))
def test_inputs_change_each_in_its_own_way(dataset: str):
    """Equal inputs of a batch differ afterwards; a seed repeats the draw."""
    inputs = torch.rand(1, *SHAPES[dataset]).repeat(8, *(1 for _ in SHAPES[dataset]))
    augmentation = augmentation_for(dataset)
    changed = augmentation(inputs, _generator())
    assert changed.shape == inputs.shape
    assert len(changed.reshape(8, -1).unique(dim=0)) == 8
    assert torch.equal(changed, augmentation(inputs, _generator()))


def test_a_shift_moves_all_channels_of_an_image_together():
    """A dot moves by at most two pixels each way, and reaches all 25 of them."""
    moved = shifted(_dots(), 2, _generator())
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert (moved.sum(dim=(2, 3)) == 1).all()
    places = {divmod(int(place), 9) for place in moved[:, 0].reshape(64, -1).argmax(dim=1)}
    assert {row for row, _ in places} == {column for _, column in places} == {2, 3, 4, 5, 6}


def test_a_vector_of_a_square_length_is_shifted_as_an_image():
    """The 64 numbers of a digit move as its 8 x 8 pixels do."""
    images = torch.rand(5, 1, 8, 8)
    flat = shifted(images.reshape(5, 64), 1, _generator())
    assert torch.equal(flat.reshape(5, 1, 8, 8), shifted(images, 1, _generator()))


def test_a_gain_scales_and_a_flip_mirrors_whole_images():
    """A gain of 0.5 keeps the darkest and the brightest of 64 images within their bounds."""
    images = torch.rand(64, 1, 4, 4)
    ratios = (Augmentation(gain=0.5)(images, _generator()) / images).reshape(64, -1)
    assert torch.allclose(ratios, ratios[:, :1].expand_as(ratios), rtol=1e-4)
    assert 0.5 <= ratios.min() < 0.7
    assert 1.3 < ratios.max() <= 1.5
    flipped = Augmentation(flip=True)(images, _generator())
    is_mirrored = (flipped == images.flip(-1)).all(dim=(1, 2, 3))
    assert 16 < is_mirrored.sum() < 48
    assert torch.equal(flipped[~is_mirrored], images[~is_mirrored])
