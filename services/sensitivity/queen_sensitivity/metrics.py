"""The sensitivity service's own metrics. No label holds an account."""

from __future__ import annotations

import numpy as np

from queen.method.ledger import Assessment, Verdict
from queen.serving.metrics import Metrics
from queen_sensitivity.engine.recording import CAS_RESULTS


class SensitivityMetrics:
    """Times of the stages, verdicts, appends and accounts, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        names = {verdict: verdict.name.lower() for verdict in Verdict}
        self._decisions = metrics.labeled(
            "queen_decisions_total", "Verdicts on queries.", "decision", tuple(names.values())
        )
        self._names = names
        self._cas = metrics.labeled(
            "queen_state_cas_total",
            "Appends to ledgers, by the answer of the store.",
            "result",
            CAS_RESULTS,
        )
        self._repaired = metrics.counter(
            "queen_state_repaired_records_total", "Records that the store had lost and got back."
        )
        self.stages = metrics.stages("decode", "wait", "assess", "load", "append")
        self.accounts_tracked = metrics.gauge(
            "queen_accounts_tracked", "Accounts whose ledgers are in memory."
        )
        self.waiting = metrics.gauge("queen_waiting_calls", "Calls that wait for the ledgers.")

    def count_append(self, result: str) -> None:
        """Count the store's answer to an append."""
        self._cas[result].inc()

    def count_repaired(self, records: int) -> None:
        """Count records that the store had lost and got back."""
        self._repaired.inc(records)

    def count_verdicts(self, assessment: Assessment) -> None:
        """Count the verdicts of a batch."""
        counts = np.bincount(assessment.verdicts, minlength=max(Verdict) + 1).tolist()
        for verdict, name in self._names.items():
            if counts[verdict]:
                self._decisions[name].inc(counts[verdict])
