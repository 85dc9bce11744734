"""The defense of a cell, deployed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from queen.redteam.plans.cell import Cell
from queen.redteam.runs.defense_under_test import DefenseUnderTest
from queen.redteam.runs.experiment import Experiment

PAPER = Cell("digits", "queen", "paper", 5, "knockoff", "in-distribution", 2, True, 200, 0)
NONE = replace(PAPER, defense="none", profile=None, budget=None)


def reversed_after_another(experiment: Experiment, cell: Cell, *, grouped: bool | None) -> int:
    """Reversed queries of an account, after another account has spent the budget."""
    queries = experiment.pool("in-distribution")
    with DefenseUnderTest(experiment, cell).deployed(grouped=grouped) as target:
        target.open_account("first").ask(queries[:400])
        target.open_account("second").ask(queries[400:420])
        flags = target.traffic.of("second").is_reversed
    return 0 if flags is None else int(flags.sum())


def test_accounts_are_grouped_as_the_cell_says(small_experiment: Experiment) -> None:
    """Or not, where the caller says so: an honest account is in no thief's group."""
    assert reversed_after_another(small_experiment, PAPER, grouped=None) > 0
    assert reversed_after_another(small_experiment, PAPER, grouped=False) == 0
    unlinked = replace(PAPER, linked=False)
    assert reversed_after_another(small_experiment, unlinked, grouped=None) == 0


def test_a_baseline_answers_for_the_same_protectee(small_experiment: Experiment) -> None:
    """Under `none` its own answers, bit for bit, and no verdicts."""
    queries = small_experiment.pool("in-distribution")[:30]
    with DefenseUnderTest(small_experiment, NONE).deployed() as target:
        answers = target.open_account("a").ask(queries)
        assert target.traffic.is_reversed is None
    own = small_experiment.plain_protectee.run(queries).probabilities
    np.testing.assert_array_equal(answers, own)


def test_the_thief_simulates_the_same_recipe(small_experiment: Experiment) -> None:
    """On a model of their own: a baseline without a secret answers as it does for that model."""
    cell = replace(NONE, defense="top-1")
    images = small_experiment.pool("in-distribution")[:30]
    simulation = DefenseUnderTest(small_experiment, cell).simulate(small_experiment.network, images)
    np.testing.assert_array_equal(simulation.defended.max(axis=1), np.ones(30))
    assert simulation.is_flagged.any()
