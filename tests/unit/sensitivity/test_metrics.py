"""The metrics of the sensitivity service."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.metrics import SensitivityMetrics

from queen.method.ledger import Verdict
from queen.serving.metrics import Metrics
from tests.unit.sensitivity.regions import batch_of, book_of, disc, small_geometry


def test_every_series_is_there_from_the_start() -> None:
    """An alert on a rate needs the zero before the first event."""
    metrics = Metrics()
    SensitivityMetrics(metrics)
    value = metrics.registry.get_sample_value
    for verdict in Verdict:
        assert value("queen_decisions_total", {"decision": verdict.name.lower()}) == 0
    assert value("queen_state_cas_total", {"result": "appended"}) == 0
    assert value("queen_stage_seconds_count", {"stage": "assess"}) == 0


def test_verdicts_appends_and_repairs_are_counted() -> None:
    """Each verdict of a batch once, and every answer of the store."""
    geometry, metrics = small_geometry(), Metrics()
    counts = SensitivityMetrics(metrics)
    batch = batch_of([AccountPolicy("a")], disc(geometry, 2, 1, 60), np.full(60, 2))
    assessment = book_of(geometry, MemoryLedgerStore()).assess(batch)
    counts.count_verdicts(assessment)
    counts.count_append("conflict")
    counts.count_repaired(3)
    value = metrics.registry.get_sample_value
    for verdict in Verdict:
        expected = np.count_nonzero(assessment.verdicts == verdict)
        assert value("queen_decisions_total", {"decision": verdict.name.lower()}) == expected
    assert value("queen_state_cas_total", {"result": "conflict"}) == 1
    assert value("queen_state_repaired_records_total") == 3
