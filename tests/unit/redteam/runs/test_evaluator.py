"""From a cell to a row."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from queen.errors import FitError
from queen.method.honest.traffic import Kind
from queen.redteam.attacks import ATTACKS, Attack, Thief
from queen.redteam.plans.cell import Cell
from queen.redteam.runs.evaluator import Evaluator
from queen.redteam.runs.experiment import Experiment
from queen.redteam.targets.base import MeteredTarget

PAPER = Cell("digits", "queen", "paper", 5, "knockoff", "in-distribution", 1, False, 300, 0)
NONE = replace(PAPER, defense="none", profile=None, budget=None)


@pytest.fixture(scope="module")
def evaluator(small_experiment: Experiment) -> Evaluator:
    """An evaluator whose clock goes on by a second a look."""
    ticks = count()
    return Evaluator(small_experiment, clock=lambda: float(next(ticks)))


def test_a_row_has_the_copy_beside_honest_accounts_and_floors(evaluator: Evaluator) -> None:
    """A row of Queen, with verdicts, after all 300 queries."""
    row = evaluator.measure(PAPER)
    assert row["cell"] == PAPER.name
    assert row["queries_sent"] == 300
    assert 0 < row["reversed_fraction"] < 1
    assert row["mean_l1"] > 0
    assert 0 < row["clean_prefix_queries"] < 300
    assert 0.2 < row["clean_prefix_floor"] <= 1
    assert [asked for asked, _ in row["honest_curve"]] == [0, 249, 498, 997]
    assert row["honest_accuracy"] < row["protectee_accuracy"]
    assert set(row["honest_by_kind"]) == set(Kind)
    worst = row["honest_by_kind"][row["honest_kind"]]
    assert worst["flip_rate"] == max(kind["flip_rate"] for kind in row["honest_by_kind"].values())
    assert worst["accuracy"] == row["honest_accuracy"]
    assert row["seconds"] == 1.0
    assert row["note"] is None


def test_a_defense_without_verdicts_has_no_clean_prefix(evaluator: Evaluator) -> None:
    """Its label-only floor is of all queries; the honest account gets the protectee's labels."""
    row = evaluator.measure(NONE)
    assert row["clean_prefix_floor"] is row["clean_prefix_queries"] is None
    assert row["reversed_fraction"] is None
    assert row["mean_l1"] == 0.0
    assert row["honest_flip_rate"] == 0.0
    assert row["honest_accuracy"] == pytest.approx(row["protectee_accuracy"], abs=0.03)
    assert row["label_only_floor"] > 0.5


def test_an_ensemble_is_measured_beside_floors_of_ensembles(evaluator: Evaluator) -> None:
    """Of the same answers; the honest figures are those of the single copy's row."""
    single, row = evaluator.measure(PAPER), evaluator.measure(replace(PAPER, members=3))
    assert row["members"] == 3
    assert row["queries_sent"] == 300
    assert row["clone_accuracy"] != single["clone_accuracy"]
    assert row["clean_prefix_floor"] != single["clean_prefix_floor"]
    assert row["clean_prefix_queries"] == single["clean_prefix_queries"]
    assert row["honest_by_kind"] == single["honest_by_kind"]


def test_another_run_finds_the_honest_figures(
    evaluator: Evaluator, small_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept with the networks, and measured no second time."""
    row = evaluator.measure(PAPER)
    monkeypatch.delattr("queen.redteam.runs.evaluator.measure_honest")
    again = Evaluator(small_experiment).measure(PAPER)
    assert again["honest_by_kind"] == row["honest_by_kind"]


def test_an_attack_that_cannot_simulate_leaves_a_note(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its figures are null; those of the defense are there."""

    def fail(_target: MeteredTarget, _thief: Thief) -> None:
        raise FitError("no class 3")

    monkeypatch.setitem(ATTACKS, "knockoff", Attack("knockoff", "fails", fail))
    row = evaluator.measure(NONE)
    assert row["clone_accuracy"] is row["fidelity"] is row["mean_l1"] is None
    assert row["note"] == "no class 3"
    assert row["honest_accuracy"] > 0.5
