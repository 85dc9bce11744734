import numpy as np
import pytest
import torch

from queen.errors import FitError
from queen.fit.findings.coverage import inside_regions
from queen.fit.findings.report import nearest_class
from queen.fit.training import mapping as mapping_training
from queen.fit.training.mapping import MappingPlan, embed, mapping_weights, train_mapping
from queen.method.geometry import fit_geometry
from queen.method.mapping import distance_contrastive_loss
from tests.unit.fit.blobs import blobs


@pytest.mark.parametrize("loss", ["distance", "cosine"])
def test_classes_come_apart_in_the_plane(loss: str) -> None:
    """Nearly every sample ends nearest to its own cluster center."""
    features, labels = blobs()
    network = train_mapping(features, labels, MappingPlan(loss=loss, epochs=300))
    embeddings = embed(network, features)
    geometry = fit_geometry(embeddings, labels, 4)
    assert embeddings.shape == (240, 2)
    assert (nearest_class(geometry, embeddings) == labels).mean() > 0.9


def test_the_same_seed_gives_the_same_network() -> None:
    """Bit for bit, whatever the global generator held; another seed gives another one."""
    features, labels = blobs()
    torch.manual_seed(1)
    once = embed(train_mapping(features, labels, MappingPlan(epochs=3)), features)
    torch.manual_seed(2)
    again = embed(train_mapping(features, labels, MappingPlan(epochs=3)), features)
    other = embed(train_mapping(features, labels, MappingPlan(epochs=3, seed=1)), features)
    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, other)


def test_training_leaves_the_global_generator_alone() -> None:
    """A caller's own random numbers do not depend on a fit before them."""
    features, labels = blobs()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train_mapping(features, labels, MappingPlan(epochs=1))
    torch.testing.assert_close(torch.rand(4), expected)


def test_a_feature_that_hardly_fires_is_not_blown_up() -> None:
    """Its scale has a floor, so that one query that fires it stays on the map."""
    features, labels = blobs()
    features[:, 0] = 0
    features[0, 0] = 1e-3
    weights = mapping_weights(train_mapping(features, labels, MappingPlan(epochs=1)))
    assert weights.scale[0] >= 0.04 * weights.scale.mean()


def test_features_that_are_not_finite_are_refused() -> None:
    """They end in a sentence, not in a map of NaN that protects nothing."""
    features, labels = blobs()
    features[7, 3] = np.inf
    with pytest.raises(FitError, match="finite mean of the features"):
        train_mapping(features, labels, MappingPlan(epochs=2))


def test_noise_keeps_few_samples_from_being_learned_by_heart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With it, clearly more new samples lie in the regions of 25 samples a class."""
    features, labels = blobs(classes=20, per_class=50, width=256, spread=0.5)
    seen = np.arange(len(labels)) % 2 == 0
    shares = []
    for noise in (0.0, 0.5):
        monkeypatch.setattr(mapping_training, "_NOISE", noise)
        network = train_mapping(features[seen], labels[seen], MappingPlan(epochs=150))
        geometry = fit_geometry(embed(network, features[seen]), labels[seen], 20)
        new = embed(network, features[~seen])
        shares.append(inside_regions(geometry, new, labels[~seen]).mean())
    assert shares[1] > 1.15 * shares[0]


def test_steps_are_planned_by_the_size_of_the_set() -> None:
    """About 1,000 steps, at least one pass, larger batches for many classes."""
    plan = MappingPlan()
    assert plan.planned_epochs(1437, 10) == 167
    assert plan.planned_epochs(60_000, 10) == 5
    assert plan.planned_epochs(5_000_000, 10) == 1
    assert MappingPlan(epochs=7).planned_epochs(1437, 10) == 7
    assert (plan.batch_size(10), plan.batch_size(100), plan.batch_size(5000)) == (256, 400, 1024)


def test_the_distance_loss_is_that_of_a_loop() -> None:
    """-1/|P(i)| sum log(exp(-d_ip^2) / sum_a exp(-d_ia^2)), pair by pair."""
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(7, 2)), np.array([0, 0, 1, 1, 1, 2, 2])
    terms = []
    for i in range(7):
        others = [a for a in range(7) if a != i]
        powers = {a: np.exp(-np.square(points[i] - points[a]).sum()) for a in others}
        own = [p for p in others if labels[p] == labels[i]]
        terms.append(-np.mean([np.log(powers[p] / sum(powers.values())) for p in own]))
    got = distance_contrastive_loss(torch.from_numpy(points), torch.from_numpy(labels))
    assert float(got) == pytest.approx(np.mean(terms), rel=1e-9)
