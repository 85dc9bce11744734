"""Appends to the store, and what the memory learns from their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import DependencyUnavailable, LedgerConflict
from queen.method.geometry import FloatArray
from queen.method.ledger import Assessment, Verdict
from queen.method.meter.off_distribution import AccountMeter
from queen.method.sensitivity import record_weight
from queen_sensitivity.engine.batch import Batch, first_of_each
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    LedgerStore,
    Records,
    Regressed,
    Renewed,
)
from queen_sensitivity.ledgers.account_cache import AccountCache
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory
from queen_sensitivity.metrics import Count

APPEND_ATTEMPTS = 256
"""Tries of an append. Each lost try is a record of another writer in the same ledger."""


class NewRecords(NamedTuple):
    """The records that a step adds, ledger by ledger."""

    ledgers: NDArray[np.integer]
    """Ledgers of the batch that grow, (L,)."""
    counts: NDArray[np.integer]
    """Number of new records of each of these ledgers, (L,)."""
    records: Records
    """The records (R, E), grouped by ledger and in order."""
    weights: FloatArray
    """Weight of each record in cqs, (R,)."""

    def by_ledger(self) -> list[Records]:
        """The records of each ledger, (counts, E)."""
        ends = np.cumsum(self.counts).tolist()
        starts = [0, *ends]
        return [self.records[start:end] for start, end in zip(starts, ends, strict=False)]

    def select(self, is_selected: NDArray[np.bool_]) -> NewRecords:
        """The records of the selected ledgers, (L,)."""
        rows = np.repeat(is_selected, self.counts)
        ledgers, counts = self.ledgers[is_selected], self.counts[is_selected]
        return NewRecords(ledgers, counts, self.records[rows], self.weights[rows])


class Recorder:
    """Makes records, under the store's compare-and-set alone.

    `appends` count the answers of the store, those of `CAS_RESULTS`.
    """

    def __init__(
        self,
        memory: LedgerMemory,
        store: LedgerStore,
        cache: AccountCache,
        appends: Mapping[str, Count],
    ) -> None:
        self._memory = memory
        self._store = store
        self._cache = cache
        self._appends = appends

    def record(self, batch: Batch, rows: NDArray[np.integer], step: Assessment) -> list[int]:
        """Append the records of the step on `rows`.

        Returns the ledgers of the batch that another writer or an erasure has changed since. In the
        same call the store is asked about the crossed ledgers of owners that these records put
        over: until now nothing has compared them with the store, and no record will.
        """
        recorded = step.recorded
        if not len(recorded):
            return []
        new = self._new_records(batch, rows[recorded], step.sqs[recorded])
        appends = []
        for ledger, records in zip(new.ledgers.tolist(), new.by_ledger(), strict=True):
            owner, label = batch.locate(ledger)
            appends.append(batch.accounts[owner].append(label, records))
        asked = _unasked(batch, rows, step, new.ledgers)
        for ledger in asked:
            owner, label = batch.locate(ledger)
            appends.append(batch.accounts[owner].question(label))
        results = self._store.append_many(appends)
        is_done = [isinstance(result, Appended) for result in results]
        is_kept = np.array(is_done[: len(new.ledgers)])
        self._keep(batch, new if is_kept.all() else new.select(is_kept))
        lost: list[int] = []
        reached = [*new.ledgers.tolist(), *asked]
        for index in (index for index, is_answered in enumerate(is_done) if not is_answered):
            ledger = reached[index]
            owner, _ = batch.locate(ledger)
            lost += [ledger, *self._catch_up(batch, owner, appends[index], results[index])]
        batch.refresh()
        return lost

    def keep_mark(self, batch: Batch, owner: int, mark: float) -> None:
        """Put a high-water mark of the meter behind those in the store, unless it is surpassed.

        A mark of an account that was erased meanwhile is dropped: its meter begins anew.
        """
        self._append_mark(batch, owner, mark, lambda meter: meter.peak >= mark)

    def keep_secret(self, batch: Batch, owner: int, held: Sequence[int]) -> int:
        """Fingerprint of the secret under which an owner is answered, one of those that are `held`.

        It is the one that the owner's marks name last. If that is not held any longer, or there is
        none, it is the first of `held`, which is then kept as a mark. A store that does not answer
        keeps nothing, and costs no verdict.
        """
        with suppress(DependencyUnavailable, LedgerConflict):
            self._append_mark(batch, owner, -float(held[0]), lambda meter: meter.secret in held)
        secret = batch.accounts[owner].meter.secret
        return secret if secret in held else held[0]

    def _append_mark(
        self, batch: Batch, owner: int, mark: float, is_kept: Callable[[AccountMeter], bool]
    ) -> None:
        """Append a mark to those of an owner, unless its meter says that it is kept already."""
        account, label = batch.accounts[owner], self._memory.meter_label
        for _ in range(APPEND_ATTEMPTS):
            if is_kept(account.meter) or batch.accounts[owner] is not account:
                return
            append = account.append(label, account.meter.as_record(mark))
            (result,) = self._store.append_many([append])
            if isinstance(result, Appended):
                self._appends["appended"].inc()
                account.extend(label, append.records)
                batch.refresh()
                return
            self._catch_up(batch, owner, append, result)
            batch.refresh()
        raise LedgerConflict(f"another writer was first {APPEND_ATTEMPTS} times on a meter")

    def _new_records(self, batch: Batch, rows: NDArray[np.integer], sqs: FloatArray) -> NewRecords:
        """The records that `rows` become, (R,) each."""
        ledger_index = batch.ledger_index[rows]
        order = np.argsort(ledger_index, kind="stable")
        ordered = ledger_index[order]
        starts = first_of_each(ordered).nonzero()[0]
        counts = np.empty_like(starts)
        counts[:-1] = starts[1:]
        counts[-1] = len(rows)
        counts -= starts
        records = batch.charged.embeddings[rows[order]]
        weights = record_weight(self._memory.geometry, sqs[order])
        return NewRecords(ordered[starts], counts, records, weights)

    def _keep(self, batch: Batch, new: NewRecords) -> None:
        """Put records that are in the store into the memory."""
        numbers = []
        for ledger in new.ledgers.tolist():
            owner, label = batch.locate(ledger)
            numbers.append(batch.accounts[owner].open_ledger(label))
        if numbers:
            self._appends["appended"].inc(len(numbers))
            self._memory.keep(np.array(numbers), new.counts, new.records, new.weights)

    def _catch_up(
        self, batch: Batch, owner: int, append: Append, result: AppendResult
    ) -> list[int]:
        """Bring memory and store together after a lost compare-and-set.

        Returns the other ledgers of the batch that have to be decided again, too.
        """
        account = batch.accounts[owner]
        if isinstance(result, Conflict):
            self._appends["conflict"].inc()
            account.extend(append.key.label, result.missing_tail)
        elif isinstance(result, Renewed):
            return self._renew(batch, owner, result.generation)
        elif isinstance(result, Regressed):
            # The store forgot acknowledged records (a failover): give them back. If another replica
            # gives them back as well, the next attempt sees it.
            self._cache.repair(account)
        return []

    def _renew(self, batch: Batch, owner: int, generation: int) -> list[int]:
        """Void the memory of an account that was erased, and the decisions made on it."""
        self._appends["renewed"].inc()
        account = batch.accounts[owner]
        if account.generation >= generation:
            # An earlier append of the same batch has got this answer and renewed the account.
            return []
        return batch.renew(owner, self._cache.renew(account.owner))


def _unasked(
    batch: Batch, rows: NDArray[np.integer], step: Assessment, recorded: NDArray[np.integer]
) -> list[int]:
    """Ledgers that have reversed some of `rows` (S,) only since the step put their owners over.

    Without those that are `recorded` in.
    """
    harsh = (step.is_over & (step.verdicts == Verdict.REVERSE)).nonzero()[0]
    if not len(harsh):
        return []
    ledgers = np.unique(batch.ledger_index[rows[harsh]])
    is_turned = ~batch.snapshot.is_over[batch.owner[ledgers]]
    turned: list[int] = np.setdiff1d(ledgers[is_turned], recorded).tolist()
    return turned
