"""Beliefs, features and doubt of a copy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from queen.redteam.attacks.parts.readout import entropy, penultimate, posterior


@pytest.fixture
def network() -> nn.Sequential:
    """Three features, two classes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def test_beliefs_are_the_softmax_of_the_logits(network: nn.Sequential) -> None:
    """In the order of the images, however many there are."""
    images = np.random.default_rng(0).random((700, 4)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).softmax(dim=1).numpy()
    np.testing.assert_allclose(posterior(network, images), expected, atol=1e-6)


def test_features_are_the_input_of_the_last_layer(network: nn.Sequential) -> None:
    """The head applied to them gives the logits."""
    images = np.random.default_rng(1).random((5, 4)).astype(np.float32)
    features = penultimate(network, images)
    assert features.shape == (5, 3)
    with torch.inference_mode():
        logits = network[-1](torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(
        posterior(network, images), np.exp(logits) / np.exp(logits).sum(1, keepdims=True), atol=1e-6
    )


def test_a_network_without_layers_in_sequence_is_refused() -> None:
    """The error names its type."""
    with pytest.raises(TypeError, match="Linear"):
        penultimate(nn.Linear(4, 2), np.zeros((1, 4), np.float32))


def test_entropy_is_zero_when_sure_and_log_c_when_not() -> None:
    """In nats, with 0 log 0 as 0."""
    rows = np.array([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]], np.float32)
    np.testing.assert_allclose(entropy(rows), [0.0, np.log(4)], atol=1e-6)
