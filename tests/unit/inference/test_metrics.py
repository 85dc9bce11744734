"""The metrics of the front door."""

from __future__ import annotations

import re

from prometheus_client import generate_latest
from queen_inference.metrics import STAGES, InferenceMetrics

from queen.serving.metrics import Metrics


def test_every_series_is_there_from_the_start(registry: Metrics, metrics: InferenceMetrics) -> None:
    """So that a rate over a counter that has not counted yet is 0 and not absent."""
    text = generate_latest(registry.registry).decode()
    for name, label, values in (
        ("queen_decisions_total", "decision", metrics.decisions),
        ("queen_failure_mode_total", "mode", metrics.failure_mode),
        ("queen_dropped_requests_total", "reason", metrics.dropped),
        ("queen_decision_log_dropped_total", "decision", metrics.decisions_lost),
        ("queen_dependency_up", "dependency", metrics.dependency_up),
        ("queen_sensitivity_endpoints", "state", metrics.endpoints),
    ):
        assert re.findall(rf'^{name}{{{label}="(\w+)"}} 0.0$', text, re.MULTILINE) == list(values)
    assert [
        stage for stage in STAGES if f'queen_stage_seconds_count{{stage="{stage}"}}' in text
    ] == (list(STAGES))
