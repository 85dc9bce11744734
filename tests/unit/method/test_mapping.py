from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from queen.errors import FitError
from queen.method.mapping import (
    MappingNetwork,
    class_pair_batches,
    distance_contrastive_loss,
    supervised_contrastive_loss,
)
from tests.unit.method.regions import bounded


def _loss_by_loops(
    embeddings: Tensor, labels: Tensor, similarity: Callable[[Tensor, Tensor], float]
) -> float:
    """Khosla et al. 2020, eq. 2, sample by sample and pair by pair."""
    total, count = 0.0, len(labels)
    for i in range(count):
        others = [a for a in range(count) if a != i]
        shares = sum(math.exp(similarity(embeddings[i], embeddings[a])) for a in others)
        positives = [p for p in others if labels[p] == labels[i]]
        for p in positives:
            log_share = similarity(embeddings[i], embeddings[p]) - math.log(shares)
            total -= log_share / len(positives)
    return total / count


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_contrastive_loss_is_the_published_double_loop(temperature: float) -> None:
    """The mean over i of the mean over positives of the negative log share, on unit vectors."""
    torch.manual_seed(0)
    embeddings = torch.randn(11, 3, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 0, 2, 3, 3])

    def cosine(one: Tensor, other: Tensor) -> float:
        return float(one @ other / (one.norm() * other.norm())) / temperature

    loss = supervised_contrastive_loss(embeddings, labels, temperature)
    assert float(loss) == pytest.approx(_loss_by_loops(embeddings, labels, cosine), rel=1e-10)


def test_the_distance_loss_is_the_same_loop_over_squared_distances() -> None:
    """The variant that makes discs takes -||z_i - z_j||^2 in the place of the cosine."""
    torch.manual_seed(1)
    embeddings = torch.randn(9, 2, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 2, 0, 2])

    def nearness(one: Tensor, other: Tensor) -> float:
        return -float((one - other).square().sum())

    loss = distance_contrastive_loss(embeddings, labels)
    assert float(loss) == pytest.approx(_loss_by_loops(embeddings, labels, nearness), rel=1e-10)


@pytest.mark.parametrize("loss", [supervised_contrastive_loss, distance_contrastive_loss])
def test_classes_apart_cost_less_than_classes_mixed(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """The loss points the way that the regions need."""
    labels = torch.tensor([0, 0, 1, 1])
    apart = torch.tensor([[3.0, 0.1], [3.0, -0.1], [-3.0, 0.1], [-3.0, -0.1]])
    assert loss(apart, labels) < loss(apart[[0, 2, 1, 3]], labels) - 1


@pytest.mark.parametrize("loss", [supervised_contrastive_loss, distance_contrastive_loss])
@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e6])
def test_the_gradient_is_finite_for_embeddings_of_any_size(
    loss: Callable[[Tensor, Tensor], Tensor], scale: float
) -> None:
    """Embeddings that all coincide, or lie far out, do not train the network into NaN."""
    torch.manual_seed(2)
    embeddings = (scale * torch.randn(8, 2)).requires_grad_()
    value = loss(embeddings, torch.arange(8) % 4)
    value.backward()
    assert torch.isfinite(value)
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


@given(st.lists(st.integers(2, 9), min_size=1, max_size=12), st.integers(1, 24), st.integers(0, 99))
@bounded
def test_every_batch_holds_a_pair_of_each_class_it_has(
    sizes: list[int], batch_size: int, seed: int
) -> None:
    """An epoch takes every sample once, and no batch has a class with one sample."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    batches = list(class_pair_batches(labels, batch_size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(labels)))
    for batch in batches:
        assert np.unique(labels[batch], return_counts=True)[1].min() >= 2
        assert len(batch) <= max(3, 1.5 * batch_size)


def test_batches_are_shuffled_by_the_given_generator() -> None:
    """Two seeds give two epochs, and one seed gives the same one twice."""
    labels = np.arange(40) % 4

    def epoch(seed: int) -> list[int]:
        batches = class_pair_batches(labels, 8, np.random.default_rng(seed))
        return np.concatenate(list(batches)).tolist()

    assert epoch(0) == epoch(0) != epoch(1)


def test_a_class_with_one_sample_is_named() -> None:
    """No batch could ever hold a pair of it."""
    labels = np.array([0, 0, 1, 2, 2])
    with pytest.raises(FitError, match="class 1: expected at least 2 samples, got 1"):
        list(class_pair_batches(labels, 4, np.random.default_rng(0)))


def test_the_network_narrows_layer_by_layer() -> None:
    """512, 128, 32, 8, E: hidden widths that are not below the feature width are left out."""
    assert MappingNetwork(1024).layer_widths == [1024, 512, 128, 32, 8, 2]
    assert MappingNetwork(128).layer_widths == [128, 32, 8, 2]
    assert MappingNetwork(4, embedding_width=3).layer_widths == [4, 3]
    assert MappingNetwork(128)(torch.zeros(5, 128)).shape == (5, 2)


def test_features_are_standardized_before_the_first_layer() -> None:
    """Scaled and shifted features give the same embeddings; a constant one divides by 1."""
    torch.manual_seed(3)
    features = torch.randn(50, 6)
    features[:, 2] = 4.0
    other = features * 250 + 17
    network = MappingNetwork(6)
    network.standardize(features)
    expected = network(features)
    network.standardize(other)
    torch.testing.assert_close(network(other), expected, atol=1e-4, rtol=1e-4)
    assert torch.isfinite(expected).all()
    assert network.feature_scale[2] == 1


def test_the_standardization_is_part_of_the_saved_state() -> None:
    """Mean and scale are buffers, so that they travel with the weights."""
    assert {"feature_mean", "feature_scale"} <= MappingNetwork(6).state_dict().keys()
