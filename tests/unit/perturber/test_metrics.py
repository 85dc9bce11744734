"""The perturber's own metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from queen_perturber.metrics import PerturberMetrics

from queen.api.v1 import perturber_pb2 as pb
from queen.serving.metrics import Metrics
from tests.unit.perturber.flagged import flagged_of, small_bundle, under


def test_answers_are_counted_by_profile_from_zero(tmp_path: Path) -> None:
    """A dashboard sees every profile before its first answer, and each answer once."""
    metrics = Metrics()
    counters = PerturberMetrics(metrics)

    def answers() -> dict[str, float | None]:
        return {
            name: metrics.registry.get_sample_value("queen_answers_total", {"profile": name})
            for name in ("paper", "balanced", "strict")
        }

    assert answers() == {"paper": 0, "balanced": 0, "strict": 0}
    small = small_bundle(tmp_path)
    counters.count_answers(under(flagged_of(small, np.arange(7)), pb.PROFILE_PAPER))
    counters.count_answers(under(flagged_of(small, np.arange(2)), pb.PROFILE_STRICT))
    assert answers() == {"paper": 7, "balanced": 0, "strict": 2}


def test_the_fingerprints_in_force_are_shown() -> None:
    """As numbers by which two perturbers can be compared; 0 while no secret retires."""
    metrics, held = Metrics(), [11]
    PerturberMetrics(metrics).show_secrets(lambda: held)

    def shown() -> list[float | None]:
        value = metrics.registry.get_sample_value
        states = ("current", "retiring")
        return [value("queen_secret_fingerprint", {"state": state}) for state in states]

    assert shown() == [11, 0]
    held[:] = [22, 11]
    assert shown() == [22, 11]
