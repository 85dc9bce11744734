"""Ledgers on which other writers keep winning: the store decides, in one call of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerConflict, LedgerError
from queen.method.geometry import Geometry
from queen.method.ledger import Assessment
from queen_sensitivity.engine.batch import Touched, fill_rows
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS, Recorder
from queen_sensitivity.engine.server_side import novel_append, settled_rows
from queen_sensitivity.engine.step import LedgerStep
from queen_sensitivity.ledger_store import LedgerStore, Regressed, Renewed, ServerSideAppend
from queen_sensitivity.ledgers.account_ledger import LedgerFactory

STORE_ATTEMPTS = 8


class ContendedLedgers:
    """Has the store take rows, and holds it to what the ledger step says."""

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        factory: LedgerFactory,
        step: LedgerStep,
        recorder: Recorder,
        count_append: Callable[[str], None],
    ) -> None:
        self._geometry = geometry
        self._store = store
        self._factory = factory
        self._step = step
        self._recorder = recorder
        self._count_append = count_append

    def decide(
        self,
        queries: Queries,
        touched: Touched,
        number: int,
        rows: NDArray[np.integer],
        decided: Assessment,
    ) -> None:
        """Have the store take the rows of a ledger on which other writers kept winning."""
        idle = 0
        while len(rows):
            if idle == STORE_ATTEMPTS or not isinstance(self._store, ServerSideAppend):
                raise LedgerConflict(
                    f"another writer was first {APPEND_ATTEMPTS} times in a row on the same ledger"
                )
            settled, recorded = self._take(self._store, queries, touched, number, rows)
            step = self._step.decide(queries, touched, settled)
            if not np.array_equal(settled[step.recorded], recorded):
                raise LedgerError("expected the store to decide as the ledger step does")
            owner, label = touched.place(number)
            self._factory.extend(touched.accounts[owner], label, queries.embeddings[recorded])
            fill_rows(decided, settled, step, np.ones(len(settled), np.bool_))
            if queries.with_facts:
                touched.settle(settled)
            rows = rows[len(settled) :]
            # Without a row settled, somebody else appended in between.
            idle = 0 if len(settled) else idle + 1

    def _take(
        self,
        store: ServerSideAppend,
        queries: Queries,
        touched: Touched,
        number: int,
        rows: NDArray[np.integer],
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """One call: the rows that it settled, and those of them that are now in the store."""
        owner, label = touched.place(number)
        account = touched.accounts[owner]
        candidates = rows[self._step.novel(queries, touched, rows)]
        if not len(candidates):
            return rows, candidates
        append = self._recorder.append(touched, number, queries.embeddings[candidates])
        cqs, threshold = self._factory.cqs(account, label), float(touched.thresholds[number])
        result = store.append_if_novel(novel_append(self._geometry, append, cqs, threshold))
        if isinstance(result, Regressed | Renewed):
            self._recorder.catch_up(touched, owner, append, result)
            return rows[:0], rows[:0]
        self._count_append("fallback")
        self._factory.extend(account, label, result.missing_tail)
        return settled_rows(rows, candidates, result)
