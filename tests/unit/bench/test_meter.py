"""The bench that measures how soon the off-distribution meter flags diluted pools."""

from __future__ import annotations

import pytest

from queen.bench.meter import count_rows, run_meter_bench
from queen.redteam.runs import bundles, experiment
from queen.redteam.runs.experiment import Experiment
from tests.experiments import QUICK_FIT


def test_repeats_of_known_queries_hide_no_strange_image(
    small_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool of permuted pixels is flagged as soon with five repeats after each image as alone."""
    monkeypatch.setitem(experiment.PROTECTEE_EPOCHS, "digits", 20)
    monkeypatch.setitem(bundles.SHADOWS, bundles.STEPS, QUICK_FIT | {"mapping_epochs": 25})
    counted: list[None] = []
    rows = run_meter_bench(
        Experiment("digits", 0, small_experiment.cache),
        budget=100,
        accounts=2,
        on_row=lambda: counted.append(None),
    )
    assert len(counted) == len(rows) == count_rows()
    strange = [row for row in rows if row["pool"] == "off-distribution"]
    medians = {
        (row["known"], row["repeats"]): row["median"] for row in strange if row["members"] == 1
    }
    grouped = [row["median"] for row in strange if row["members"] > 1]
    assert 0 < medians[1, 0] < 1000
    # A group has the limit of two accounts, however many members it has.
    assert len(grouped) == 2
    assert all(medians[1, 0] <= median < 3 * medians[1, 0] for median in grouped)
    assert medians[1, 5] == medians[1, 1] == medians[1, 0]
    # Three hundred new queries are charged, and their records do lower the level.
    assert medians[300, 5] <= 2 * medians[1, 0]
