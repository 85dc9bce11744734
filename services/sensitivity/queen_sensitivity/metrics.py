"""What the service counts. No label holds an account."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from prometheus_client import Histogram

from queen.method.ledger import Assessment, Verdict
from queen.serving.metrics import Metrics
from queen_sensitivity.engine.book import CAS_RESULTS
from queen_sensitivity.ledger_store import (
    Append,
    AppendResult,
    LedgerStore,
    Records,
)


class SensitivityMetrics:
    """The service's own metrics, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        names = {verdict: verdict.name.lower() for verdict in Verdict}
        self._decisions = metrics.labeled(
            "queen_decisions_total", "Verdicts on queries.", "decision", tuple(names.values())
        )
        self._names = names
        self._cas = metrics.labeled(
            "queen_state_cas_total",
            "Appends to ledgers, by what the store answered.",
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
        """Count the store's answer to one append."""
        self._cas[result].inc()

    def count_repaired(self, records: int) -> None:
        """Count records that the store had lost, and that were given back to it."""
        self._repaired.inc(records)

    def count_verdicts(self, assessment: Assessment) -> None:
        """Count the verdicts of a batch."""
        counts = np.bincount(assessment.verdicts, minlength=max(Verdict) + 1).tolist()
        for verdict, name in self._names.items():
            if counts[verdict]:
                self._decisions[name].inc(counts[verdict])


class TimedStore:
    """A `LedgerStore` that measures how long another one takes."""

    def __init__(self, store: LedgerStore, load: Histogram, append: Histogram) -> None:
        self._store = store
        self._load = load
        self._append = append

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        with self._append.time():
            return self._store.append_many(appends)

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._load.time():
            return self._store.load(account_id, geometry_digest)

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        return self._store.list_accounts(geometry_digest, after, limit)

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        return self._store.generations(account_ids, geometry_digest)

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        return self._store.geometries(account_id)

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`."""
        self._store.erase(account_id, geometry_digests, least_generation)

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        self._store.append_audit(entry)

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        return self._store.read_audit(after, limit)

    def close(self) -> None:
        """See `LedgerStore.close`."""
        self._store.close()
