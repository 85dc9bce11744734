"""The parts that the cells of a data set and seed share."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses import Asked
from queen.redteam.networks import accuracy
from queen.redteam.runs.cache import weights_hash
from queen.redteam.runs.experiment import Experiment


def test_the_bundle_serves_the_protectee(small_experiment: Experiment) -> None:
    """Its labels of the test set are those of the network that was trained."""
    split = small_experiment.split
    labels = small_experiment.test_labels
    assert accuracy(small_experiment.network, split.test_x, labels) > 0.99
    assert (labels == split.test_y).mean() > 0.85


def test_parts_are_made_once(small_experiment: Experiment) -> None:
    """Another experiment over the same cache finds the network, the bundle and the copies."""
    again = Experiment("digits", 0, small_experiment.cache)
    assert weights_hash(again.network) == weights_hash(small_experiment.network)
    assert again.bundle().digest == small_experiment.bundle().digest
    assert again.protectee(again.bundle()) is again.plain_protectee
    kept = len(list(again.cache.root.glob("copy-*")))
    queries = small_experiment.pool("in-distribution")[:40]
    targets = np.full((40, 10), 0.1, np.float32)
    first = small_experiment.train_copy(queries, targets)
    assert weights_hash(again.train_copy(queries, targets)) == weights_hash(first)
    assert len(list(again.cache.root.glob("copy-*"))) == kept + 1


def test_salt_makes_another_copy(small_experiment: Experiment) -> None:
    """Of the same answers, from another initialization."""
    queries = small_experiment.pool("in-distribution")[:40]
    targets = np.full((40, 10), 0.1, np.float32)
    first, salted = (small_experiment.train_copy(queries, targets, salt=salt) for salt in (0, 1))
    assert weights_hash(first) != weights_hash(salted)


def test_a_baseline_learns_from_the_protectees_training_set(small_experiment: Experiment) -> None:
    """It is prepared once, on the protectee's own outputs."""
    training = small_experiment.training
    assert len(training.probabilities) == len(small_experiment.split.train_x)
    answer = small_experiment.baseline("top-1")
    assert small_experiment.baseline("top-1") is answer
    asked = Asked(training.inputs[:5], training.probabilities[:5], training.features[:5])
    labels = training.probabilities[:5].argmax(axis=1)
    np.testing.assert_array_equal(answer(asked).argmax(axis=1), labels)


def test_a_pool_has_the_thiefs_order(small_experiment: Experiment) -> None:
    """The same at every call."""
    pool = small_experiment.pool("mixup")
    assert small_experiment.pool("mixup") is pool
