"""The perturber's own metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from queen.serving.metrics import Metrics
from queen.wire import PROFILES
from queen_perturber.reversal import Flagged


class PerturberMetrics:
    """Times of the stages, answers by profile and waiting calls, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        self.stages: dict[str, Histogram] = metrics.stages("decode", "wait", "reverse")
        self.answers: dict[str, Counter] = metrics.labeled(
            "queen_answers_total",
            "Answers made, by profile.",
            "profile",
            tuple(profile.value for profile in PROFILES.values()),
        )
        self.waiting: Gauge = metrics.gauge(
            "queen_waiting_calls", "Calls that wait for the shadow models."
        )

    def count_answers(self, flagged: Flagged) -> None:
        """Count the answers to a batch of flagged queries."""
        for code, profile in PROFILES.items():
            self.answers[profile.value].inc(int((flagged.profiles == code).sum()))
