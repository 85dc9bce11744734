"""The metrics of the sensitivity service."""

from __future__ import annotations

from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.metrics import SensitivityMetrics

from queen.method.ledger import Verdict
from queen.serving.metrics import Metrics


def test_every_series_is_there_from_the_start() -> None:
    """An alert on a rate needs the zero before the first event."""
    metrics = Metrics()
    SensitivityMetrics(metrics)
    value = metrics.registry.get_sample_value
    for verdict in Verdict:
        assert value("queen_decisions_total", {"decision": verdict.name.lower()}) == 0
    assert value("queen_state_cas_total", {"result": "appended"}) == 0
    for kind in CrossingKind:
        assert value("queen_crossings_total", {"crossing": kind.name.lower()}) == 0
    assert value("queen_stage_seconds_count", {"stage": "assess"}) == 0


def test_crossings_are_counted_by_their_kind() -> None:
    """A crossed class apart from an owner that is over."""
    metrics = Metrics()
    crossing = Crossing(CrossingKind.BREADTH, "a", None, 5.0, 5.0)
    SensitivityMetrics(metrics).count_crossings([crossing, crossing])
    value = metrics.registry.get_sample_value
    assert value("queen_crossings_total", {"crossing": "breadth"}) == 2
    assert value("queen_crossings_total", {"crossing": "threshold"}) == 0


def test_appends_and_repairs_are_counted() -> None:
    """Every answer of the store, and every record that it got back."""
    metrics = Metrics()
    counts = SensitivityMetrics(metrics)
    counts.appends["conflict"].inc()
    counts.repaired.inc(3)
    value = metrics.registry.get_sample_value
    assert value("queen_state_cas_total", {"result": "conflict"}) == 1
    assert value("queen_state_repaired_records_total") == 3
