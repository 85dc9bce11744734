"""Honest accounts of every kind under a defense."""

from __future__ import annotations

from dataclasses import replace

from queen.method.honest.traffic import Kind
from queen.redteam.plans.cell import Cell
from queen.redteam.runs.defense_under_test import DefenseUnderTest
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.honest import held_out, measure_honest

STRICT = replace(
    Cell("digits", "queen", "strict", 5, "knockoff", "in-distribution", 1, False, 300, 0),
    breadth=1,
)
TOP_ONE = replace(STRICT, defense="top-1", profile=None, budget=None)


def test_held_out_images_are_those_nobody_trained_on(small_experiment: Experiment) -> None:
    """The test set and the pool, with their labels."""
    images, labels = held_out(small_experiment.split)
    assert len(images) == len(labels) == 997
    trained = {image.tobytes() for image in small_experiment.split.train_x}
    assert sum(image.tobytes() in trained for image in images) < 5
    own = small_experiment.plain_protectee.run(images).probabilities.argmax(axis=1)
    assert (own == labels).mean() > 0.85


def test_a_small_budget_harms_every_kind(small_experiment: Experiment) -> None:
    """Under `strict`, with a budget of 5 records and breadth 1; the worst kind stands in front."""
    honest = measure_honest(small_experiment, DefenseUnderTest(small_experiment, STRICT), STRICT)
    harmed = {kind: each["flip_rate"] for kind, each in honest.honest_by_kind.items()}
    assert set(harmed) == set(Kind)
    assert min(harmed.values()) > 0.3
    assert max(harmed.values()) == honest.honest_flip_rate == harmed[honest.honest_kind]


def test_a_defense_that_keeps_labels_harms_no_kind(small_experiment: Experiment) -> None:
    """Its accounts are right as often as the protectee, images changed or not."""
    honest = measure_honest(small_experiment, DefenseUnderTest(small_experiment, TOP_ONE), TOP_ONE)
    for each in honest.honest_by_kind.values():
        assert each["flip_rate"] == each["refused"] == 0.0
        assert each["accuracy"] > 0.8
    assert honest.honest_kind == Kind.EVEN
    same = measure_honest(small_experiment, DefenseUnderTest(small_experiment, TOP_ONE), TOP_ONE)
    assert same == honest
