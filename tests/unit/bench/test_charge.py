"""The bench that measures what a charge costs honest accounts and leaves an active thief."""

from __future__ import annotations

import pytest

from queen.bench import charge
from queen.bench.charge import honest_crossings, run_charge_bench
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.sensitivity import Charge
from queen.redteam.runs.experiment import Experiment

POLICY = CrossingPolicy(2, 5, CAP_OFF)


def test_the_bench_tells_honest_accounts_and_thieves(
    small_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A charge anywhere puts even accounts over sooner; one class alone never puts one over."""
    monkeypatch.setattr(charge, "QUERIES", 1000)
    row = run_charge_bench(small_experiment, Charge.ANYWHERE, POLICY, accounts=3, queries=400)
    assert row["honest"]["one class"] == {"fewest": None, "median": None, "over": 0}
    assert row["honest"]["even"]["over"] == 3
    plain, active, mixed = row["thieves"]
    assert [thief["every"] for thief in row["thieves"]] == [0, 1, 3]
    assert 0 < plain["clean"] < 400
    assert min(active["clean"], mixed["clean"]) > 0
    assert all(0 < thief["copy"] < 1 for thief in row["thieves"])
    assert plain["copy"] == plain["plain_copy"]
    published = honest_crossings(small_experiment, Charge.REGIONS, POLICY, 3)
    fewest, sooner = published["even"]["fewest"], row["honest"]["even"]["fewest"]
    assert fewest is not None
    assert sooner < fewest
