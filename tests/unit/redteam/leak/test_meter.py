"""The leak of defenses, measured through the services' own code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queen.redteam.leak import meter as meter_module
from queen.redteam.leak.decoders import DECODERS
from queen.redteam.leak.meter import LeakMeter
from queen.redteam.plans.cell import Cell
from queen.redteam.report.rows import Row
from queen.redteam.runs.experiment import Experiment

STRICT = Cell("digits", "queen", "strict", 5, "knockoff", "in-distribution", 1, False, 600, 0)
BALANCED = replace(STRICT, profile="balanced")
TOP_ONE = replace(STRICT, defense="top-1", profile=None, budget=None)


@pytest.fixture(scope="module")
def meter(small_experiment: Experiment) -> LeakMeter:
    """Three secrets on the stream of 600."""
    return LeakMeter(small_experiment, secrets=3)


@pytest.fixture(autouse=True)
def quick_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the trees, which need seconds."""
    monkeypatch.delitem(DECODERS, "trees")


def by_rows(rows: list[Row]) -> dict[str, Row]:
    """Rows of one defense by the queries they are of."""
    return {row["rows"]: row for row in rows}


def test_a_decoy_tells_no_more_than_another_decoy(meter: LeakMeter) -> None:
    """`strict` answers flagged queries by decoys: what is read from them, the input gives away."""
    flagged = by_rows(meter.measure(STRICT))["flagged"]
    assert flagged["tested"] > 100
    assert abs(flagged["leak"]) < 0.05
    assert flagged["leak"] < flagged["bound"]
    for view in flagged["views"].values():
        assert view["read"] > 0.2


def test_a_partner_class_names_the_label(meter: LeakMeter) -> None:
    """`balanced` changes every label it can, and a decoder reads nearly all of them."""
    flagged = by_rows(meter.measure(BALANCED))["flagged"]
    assert flagged["views"]["answer"]["read"] > 0.9
    assert flagged["leak"] > 0.1
    assert flagged["secrets"] == 3


def test_a_baseline_is_read_whole(meter: LeakMeter) -> None:
    """Without verdicts there is one row; the label of a top-1 answer is its argmax."""
    (row,) = meter.measure(TOP_ONE)
    assert row["rows"] == "all"
    assert row["profile"] is row["budget"] is None
    assert row["views"]["answer"]["read"] == 1.0
    assert row["views"]["answer"]["decoder"] == "comparison"
    assert 0.3 < row["belief"] < 1.0


def test_too_few_rows_have_no_figures(meter: LeakMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their leak is not known, and not zero."""
    monkeypatch.setattr(meter_module, "LEAST_ROWS", 10_000)
    for row in meter.measure(STRICT):
        assert row["leak"] is row["bound"] is None
        assert row["tested"] == 0


def test_refused_queries_are_not_read(
    small_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal, which has NaN for its answer, trains no decoder and tests none."""

    def refuse(asked: object) -> np.ndarray:
        answers = np.array(asked.probabilities)  # type: ignore[attr-defined]
        answers[::2] = np.nan
        return answers

    monkeypatch.setattr(small_experiment, "baseline", lambda _name: refuse)
    (row,) = LeakMeter(small_experiment, secrets=2).measure(TOP_ONE)
    # 100 of 600 queries are the prefix, half of the others are refused, and half of the rest test.
    assert row["tested"] == 125
