"""The bench that measures what a charge costs honest accounts and leaves an active thief."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.bench.charge import honest_crossings, run_charge_bench
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.ledger import Charge
from queen.redteam.runs import bundles, experiment
from queen.redteam.runs.cache import Cache
from queen.redteam.runs.experiment import Experiment
from tests.unit.redteam.conftest import QUICK_FIT

POLICY = CrossingPolicy(2, 5, CAP_OFF)


def test_a_charge_anywhere_ends_the_active_thief_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And honest accounts of all classes, too; one class alone never puts an account over."""
    monkeypatch.setitem(experiment.PROTECTEE_EPOCHS, "digits", 8)
    monkeypatch.setitem(bundles.SHADOWS, bundles.STEPS, QUICK_FIT)
    digits = Experiment("digits", 0, Cache(tmp_path))
    row = run_charge_bench(digits, Charge.ANYWHERE, POLICY, accounts=3, queries=400)
    assert row["honest"]["one class"] == {"fewest": None, "median": None, "over": 0}
    assert row["honest"]["even"]["over"] == 3
    assert 0 < row["prefix"] < 400
    assert 0 < row["active"] < 300
    assert min(row["active_copy"], row["plain_copy"], row["prefix_copy"]) > 0.1
    published = honest_crossings(digits, Charge.REGIONS, POLICY, 3)
    fewest, sooner = published["even"]["fewest"], row["honest"]["even"]["fewest"]
    assert fewest is not None
    assert sooner < fewest
