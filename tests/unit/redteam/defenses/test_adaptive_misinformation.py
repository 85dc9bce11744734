"""Adaptive misinformation against its equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from queen.redteam.datasets import load_digits_split
from queen.redteam.defenses.adaptive_misinformation import (
    blend,
    reversed_cross_entropy,
    threshold_for,
    train_misinformation_model,
)
from queen.redteam.networks import accuracy
from tests.unit.redteam.defenses.slow_equations import draw_answers


def test_misinformation_enters_below_the_threshold():
    """Sure answers stay, unsure ones become the lie, and at tau it is half of each."""
    y = np.array([[0.9, 0.1], [0.6, 0.4], [0.75, 0.25]], np.float32)
    lies = np.array([[0.0, 1.0]] * 3)
    expected = [[0.9, 0.1], [0.0, 1.0], [0.375, 0.625]]
    np.testing.assert_allclose(blend(y, lies, 0.75), expected, atol=1e-6)


def test_the_threshold_perturbs_the_stated_share():
    """A fifth of the training answers is more lie than truth at a share of 0.2."""
    y = draw_answers(500)
    threshold = threshold_for(y, 0.2)
    assert (y.max(axis=1) < threshold).mean() == pytest.approx(0.2, abs=0.01)


def test_reversed_cross_entropy_is_the_log_of_the_rest():
    """-log(1 - q_y), also where q_y is so near 1 that 1 - q_y is 0 in float32."""
    logits = torch.tensor([[1.0, 2.0, 0.5], [60.0, 0.0, 0.0]])
    labels = torch.tensor([1, 0])
    plain = -math.log(1 - float(logits[0].softmax(dim=0)[1]))
    assert float(reversed_cross_entropy(logits[:1], labels[:1])) == pytest.approx(plain, rel=1e-5)
    far = float(reversed_cross_entropy(logits[1:], labels[1:]))
    assert far == pytest.approx(60 - math.log(2), rel=1e-5)


def test_the_misinformation_model_avoids_the_label():
    """It is right less often than chance."""
    split = load_digits_split(0)
    liar = train_misinformation_model("digits", split.train_x, split.train_y, seed=0)
    assert accuracy(liar, split.test_x.astype(np.float64), split.test_y) < 0.05
