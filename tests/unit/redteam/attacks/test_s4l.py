"""S4L: quarter turns of images."""

from __future__ import annotations

import torch

from queen.redteam.attacks import s4l


def test_rotations_turn_flat_and_square_images_alike():
    """Four turns of each image, in blocks, and the first block is the images themselves."""
    square = torch.rand(5, 1, 8, 8)
    turns, quarters = s4l.turned(square)
    flat, _ = s4l.turned(square.reshape(5, 64))
    assert quarters.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert torch.equal(turns[:5], square)
    assert torch.equal(turns.reshape(20, 64), flat)
    assert torch.equal(torch.rot90(turns[5:10], 1, (-2, -1)), turns[10:15])
