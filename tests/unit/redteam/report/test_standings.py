"""From rows to standings: means, deviations, and the worst of all attacks."""

from __future__ import annotations

import math

import pytest

from queen.redteam.report.standings import standings
from tests.unit.redteam.report.sample_rows import ROWS, kind, row


def test_the_worst_is_taken_seed_by_seed():
    """Max over attacks of each seed, then mean and standard deviation of the sample."""
    (standing,) = standings(ROWS)
    assert standing.worst.mean == pytest.approx((0.9 + 0.8) / 2)
    assert standing.worst.sd == pytest.approx(0.1 / math.sqrt(2))
    assert standing.worst.seeds == 2
    assert standing.worst_attack in {"knockoff", "d-dae"}


def test_an_attack_has_its_own_mean():
    """Plain copies are those of knockoff, whichever other attacks were run."""
    (standing,) = standings(ROWS)
    assert standing.plain is not None
    assert standing.plain.mean == pytest.approx(0.75)
    assert standing.attacks["d-dae"].mean == pytest.approx(0.75)
    assert standing.traffic["reversed_fraction"].mean == pytest.approx(0.25)


def test_shared_figures_count_once_a_seed():
    """An honest account does not weigh more where more attacks were run."""
    (standing,) = standings([*ROWS, row("s4l", 1, 0.1)])
    assert standing.figures["honest_accuracy"].mean == pytest.approx(0.905)
    assert standing.curve[0][1].mean == pytest.approx(0.95)
    assert standing.curve[1] == (500, None)


def test_the_worst_kind_of_honest_traffic_is_named():
    """The kind with the most queries changed or refused, over all seeds; of equals, the first."""
    (standing,) = standings(ROWS)
    assert standing.honest_kind == "even"
    kinds = {"even": kind(0.9, 0.0), "one class": kind(0.5, 0.0, refused=0.4)}
    (refusing,) = standings([row("knockoff", 0, 0.5, honest_by_kind=kinds)])
    assert refusing.honest_kind == "one class"
    assert refusing.figures["honest_accuracy"].mean == pytest.approx(0.5)
    assert refusing.figures["honest_harmed"].mean == pytest.approx(0.4)
    (spared,) = standings(
        [row("knockoff", 0, 0.5, honest_by_kind={**kinds, "one class": kinds["even"]})]
    )
    assert spared.honest_kind == "even"


def test_an_ensemble_is_an_attack_in_another_form():
    """It may be the best copy, stands beside the floor of ensembles, and meets nothing new."""
    ensemble = [row("knockoff", seed, 0.95, members=3, clean_prefix_floor=0.7) for seed in (0, 1)]
    (standing,) = standings([*ROWS, *ensemble])
    assert (standing.met, standing.worst_attack) == (2, "knockoff x3")
    assert standing.worst.mean == pytest.approx(0.95)
    assert standing.figures["clean_prefix_floor"].mean == pytest.approx(0.7)
    assert standing.plain.mean == pytest.approx(0.75)


def test_a_foreign_endpoint_has_no_honest_accounts():
    """Nobody could ask in their name: there is no kind, no figure and no history."""
    (standing,) = standings([row("knockoff", 0, 0.5, honest_by_kind={})])
    assert (standing.kinds, standing.honest_kind, standing.curve) == ({}, "", [])
    assert standing.figures["honest_accuracy"] is None


@pytest.mark.parametrize(
    "change",
    [
        *({"profile": "safe"}, {"budget": 20}, {"breadth": 6}, {"class_cap": 10}),
        *({"pool": "mixup"}, {"accounts": 4}, {"learner": None}),
    ],
)
def test_settings_are_kept_apart(change: dict[str, object]):
    """Profile, crossing policy, pool, accounts and learner each make a standing of their own."""
    assert len(standings([*ROWS, row("knockoff", 0, 0.5, **change)])) == 2
