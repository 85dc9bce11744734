"""The perturber's own metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge, Histogram

from queen.serving.metrics import Metrics
from queen.wire import PROFILES
from queen_perturber.reversal import Flagged

SECRET_STATES = ("current", "retiring")


class PerturberMetrics:
    """Times of the stages, answers by profile and waiting calls, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
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

    def show_secrets(self, fingerprints: Callable[[], Sequence[int]]) -> None:
        """Show the fingerprints of the secrets in force, the current one first, 0 for none."""
        gauge = self._metrics.gauge(
            "queen_secret_fingerprint",
            "Fingerprint of the current secret and of the retiring one, 0 for none; the same at "
            "every perturber.",
            ("state",),
        )
        for position, state in enumerate(SECRET_STATES):
            gauge.labels(state).set_function(
                lambda position=position: [*fingerprints(), 0][position]  # type: ignore[misc]
            )

    def count_answers(self, flagged: Flagged) -> None:
        """Count the answers to a batch of flagged queries."""
        for code, profile in PROFILES.items():
            self.answers[profile.value].inc(int((flagged.profiles == code).sum()))
