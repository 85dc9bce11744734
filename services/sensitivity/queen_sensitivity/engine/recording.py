"""Appends to the store, and what the cache learns from their results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerConflict
from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment
from queen.method.sensitivity import record_weight
from queen_sensitivity.engine.batch import Touched
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    LedgerStore,
    Regressed,
    Renewed,
)
from queen_sensitivity.ledgers.account_cache import AccountCache
from queen_sensitivity.ledgers.account_ledger import LedgerFactory

APPEND_ATTEMPTS = 256
"""Tries of an append. Each that is lost is a record of somebody else in the same ledger."""


class Recorder:
    """Makes records under the store's compare-and-set alone."""

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        factory: LedgerFactory,
        cache: AccountCache,
        count_append: Callable[[str], None],
    ) -> None:
        self._geometry = geometry
        self._store = store
        self._factory = factory
        self._cache = cache
        self._count_append = count_append

    def record(
        self,
        queries: Queries,
        touched: Touched,
        rows: NDArray[np.integer],
        step: Assessment,
    ) -> list[int]:
        """Append what the step recorded; ledgers that another writer had changed come back."""
        recorded = step.recorded
        if not len(recorded):
            return []
        ledger_index = touched.ledger_index[rows[recorded]]
        order = np.argsort(ledger_index, kind="stable")
        recorded, ledger_index = recorded[order], ledger_index[order]
        numbers, starts = np.unique(ledger_index, return_index=True)
        embeddings = queries.embeddings[rows[recorded]]
        bounds = [*starts.tolist(), len(recorded)]
        appends = [
            self.append(touched, number, embeddings[start:end])
            for number, start, end in zip(numbers.tolist(), bounds, bounds[1:], strict=False)
        ]
        results = self._store.append_many(appends)

        is_appended = np.array([isinstance(result, Appended) for result in results])
        weights = record_weight(self._geometry, step.sqs[recorded])
        self._keep(touched, numbers, np.diff(bounds), is_appended, embeddings, weights)
        lost: list[int] = []
        for place in np.flatnonzero(~is_appended).tolist():
            number, append, result = int(numbers[place]), appends[place], results[place]
            lost += [number, *self.catch_up(touched, touched.place(number)[0], append, result)]
        return lost

    def _keep(
        self,
        touched: Touched,
        numbers: NDArray[np.integer],
        counts: NDArray[np.integer],
        is_appended: NDArray[np.bool_],
        embeddings: NDArray[np.float32],
        weights: FloatArray,
    ) -> None:
        """Put what the store took into the cached ledgers: `counts` (L,) rows of each in turn."""
        rows = np.repeat(is_appended, counts)
        numbers, counts = numbers[is_appended], counts[is_appended]
        for number in numbers.tolist():
            owner, label = touched.place(number)
            self._factory.number(touched.accounts[owner], label)
            self._count_append("appended")
        if len(numbers):
            ledgers = touched.numbers()[numbers]
            self._factory.keep(ledgers, counts, embeddings[rows], weights[rows])
            touched.recorded(numbers)

    def keep_mark(self, touched: Touched, owner: int, mark: float) -> None:
        """Put a high-water mark of the meter behind those in the store, unless it is surpassed.

        A mark of an account that was erased meanwhile is dropped: its meter begins anew.
        """
        account = touched.accounts[owner]
        for _ in range(APPEND_ATTEMPTS):
            if account.meter.peak >= mark or touched.accounts[owner] is not account:
                return
            label, record = self._geometry.num_classes, account.meter.as_record(mark)
            append = self._factory.append(touched.owners[owner], account, label, record)
            (result,) = self._store.append_many([append])
            if isinstance(result, Appended):
                self._count_append("appended")
                self._factory.extend(account, label, append.records)
                return
            self.catch_up(touched, owner, append, result)
        raise LedgerConflict(f"another writer was first {APPEND_ATTEMPTS} times on a meter")

    def append(self, touched: Touched, number: int, records: NDArray[np.float32]) -> Append:
        """An append of `records` (R, E) to a ledger of the batch."""
        owner, label = touched.place(number)
        account = touched.accounts[owner]
        return self._factory.append(touched.owners[owner], account, label, records)

    def catch_up(
        self, touched: Touched, owner: int, append: Append, result: AppendResult
    ) -> list[int]:
        """Bring cache and store together after a lost compare-and-set.

        Returns the ledgers, besides the append's own, that are others than they were.
        """
        account = touched.accounts[owner]
        if isinstance(result, Conflict):
            self._count_append("conflict")
            self._factory.extend(account, append.key.label, result.missing_tail)
        elif isinstance(result, Renewed):
            return self._renew(touched, owner, append, result.generation)
        elif isinstance(result, Regressed):
            # The store forgot acknowledged records (a failover): give them back. If another
            # replica is doing the same, the next attempt finds out.
            self._cache.repair(append.key.account_id, account)
        return []

    def _renew(self, touched: Touched, owner: int, append: Append, generation: int) -> list[int]:
        """The account was erased: what is known of it is void, and so is what followed from it."""
        self._count_append("renewed")
        if touched.accounts[owner].generation >= generation:
            # An earlier append of the same batch was told.
            return []
        return touched.renew(owner, self._cache.renew(append.key.account_id))
