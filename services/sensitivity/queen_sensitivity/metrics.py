"""The sensitivity service's own metrics. No label holds an account."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from queen.failures import Failure
from queen.method.ledger import Verdict
from queen.serving.metrics import Metrics
from queen_sensitivity.engine.crossings import Crossing, CrossingKind

CAS_RESULTS = ("appended", "conflict", "regressed", "renewed")
"""Answers of the store to an append, as they are counted."""


class Count(Protocol):
    """A metric that counts; a Prometheus counter is one."""

    def inc(self, amount: float = 1) -> None:
        """Add `amount`."""
        ...


class Timer(Protocol):
    """A metric that observes how long a block takes; a Prometheus histogram is one."""

    def time(self) -> AbstractContextManager[object]:
        """Observe the block."""
        ...


class Level(Protocol):
    """A metric that is set; a Prometheus gauge is one."""

    def set(self, value: float, /) -> None:
        """Show `value`."""
        ...


class SensitivityMetrics:
    """Times of the stages, verdicts, appends and accounts, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        self.decisions = metrics.labeled(
            "queen_decisions_total",
            "Verdicts on queries.",
            "decision",
            tuple(verdict.name.lower() for verdict in Verdict),
        )
        self.appends = metrics.labeled(
            "queen_state_cas_total",
            "Appends to ledgers, by the answer of the store.",
            "result",
            CAS_RESULTS,
        )
        self.crossings = metrics.labeled(
            "queen_crossings_total",
            "Crossings of classes, of owners over their budgets, and of meters.",
            "crossing",
            tuple(kind.name.lower() for kind in CrossingKind),
        )
        self.failures = metrics.labeled(
            "queen_query_failures_total",
            "Queries without a verdict, by what was wrong with the ledger store or their ledger.",
            "failure",
            tuple(failure.name.lower() for failure in Failure),
        )
        self.repaired = metrics.counter(
            "queen_state_repaired_records_total", "Records that the store had lost and got back."
        )
        up = metrics.gauge(
            "queen_dependency_up", "Whether the ledger store answers.", ("dependency",)
        )
        self.store_up = up.labels("ledger_store")
        self.store_has_room = metrics.gauge(
            "queen_ledger_store_takes_records",
            "Whether the ledger store answers and took the last records that it was given.",
        )
        self.unwritten = metrics.gauge(
            "queen_unwritten_records",
            "Records in memory alone, since the ledger store takes none.",
        )
        self.stages = metrics.stages("decode", "wait", "assess", "load", "append")
        self.accounts_tracked = metrics.gauge(
            "queen_accounts_tracked", "Accounts whose ledgers are in memory."
        )
        self.waiting = metrics.gauge("queen_waiting_calls", "Calls that wait for the ledgers.")

    def count_crossings(self, crossings: Sequence[Crossing]) -> None:
        """Count the crossings of a batch by their kind."""
        for crossing in crossings:
            self.crossings[crossing.kind.name.lower()].inc()
