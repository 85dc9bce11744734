import numpy as np

from queen.fit.findings.flips import flip_rates, shadow_probabilities
from queen.fit.training.shadows import ShadowPlan, train_shadows
from tests.unit.fit.blobs import blobs


def test_shadows_that_know_nothing_flip_every_label() -> None:
    """With q uniform, 2q - p has its maximum anywhere but at the label."""
    rng = np.random.default_rng(0)
    sure = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 40)] * 0.9 + 0.02
    uniform = np.full((3, 40, 5), 0.2)
    assert flip_rates(uniform, sure, [1, 3], rng) == {1: 1.0, 3: 1.0}


def test_shadows_that_equal_the_protectee_flip_none() -> None:
    """With q = p the reversed target is p itself."""
    rng = np.random.default_rng(0)
    sure = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 40)] * 0.9 + 0.02
    assert flip_rates(np.stack([sure, sure]).astype(np.float64), sure, [1, 2], rng) == {1: 0, 2: 0}


def test_weaker_shadows_flip_more_labels() -> None:
    """Shadow strength is what the flip rate measures."""
    features, labels = blobs(spread=0.2)
    certain = np.eye(4, dtype=np.float32)[labels] * 0.96 + 0.01
    rates = []
    for steps in (5, 400):
        plan = ShadowPlan(on="features", count=3, steps=steps)
        answers = shadow_probabilities(train_shadows(features, labels, 4, plan), features)
        rates.append(flip_rates(answers, certain, [3], np.random.default_rng(0))[3])
    assert rates[0] > 0.9
    assert rates[1] < 0.5
