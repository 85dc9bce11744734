"""Appends to the store, and what the memory learns from their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import DependencyUnavailable, LedgerConflict, LedgerCorrupt
from queen.failures import Failure
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
    Damaged,
    LedgerStore,
    Records,
    Refused,
    Regressed,
    Renewed,
)
from queen_sensitivity.ledgers.account_cache import AccountCache
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory, UnwrittenRecords
from queen_sensitivity.metrics import Count

APPEND_ATTEMPTS = 256
"""Tries of an append. Each lost try is a record of another writer in the same ledger."""


_NOT_SENT = Refused("the account has records that the store did not take")


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

    `appends` count the answers of the store, those of `CAS_RESULTS`. Records that the store does
    not take are made in memory alone, as far as `unwritten` has room for them.
    """

    def __init__(
        self,
        memory: LedgerMemory,
        store: LedgerStore,
        cache: AccountCache,
        appends: Mapping[str, Count],
        unwritten: UnwrittenRecords,
    ) -> None:
        self._memory = memory
        self._store = store
        self._cache = cache
        self._appends = appends
        self._unwritten = unwritten

    def record(self, batch: Batch, rows: NDArray[np.integer], step: Assessment) -> list[int]:
        """Append the records of the step on `rows`.

        Returns the ledgers of the batch that another writer or an erasure has changed since, and
        those that are barred since the store did not keep their records. In the same call the store
        is asked about the crossed ledgers of owners that these records put over: until now nothing
        has compared them with the store, and no record will.
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
        reached = [*new.ledgers.tolist(), *asked]
        results = self._results(batch, reached, appends)
        if results is None:
            return reached
        is_done = [isinstance(result, Appended) for result in results]
        is_kept = np.array(is_done[: len(new.ledgers)])
        self._keep(batch, new if is_kept.all() else new.select(is_kept))
        lost: list[int] = []
        for index in (index for index, is_answered in enumerate(is_done) if not is_answered):
            ledger = reached[index]
            owner, _ = batch.locate(ledger)
            failure, others = self._catch_up(batch, owner, appends[index], results[index])
            if failure:
                batch.bar([ledger], failure)
            lost += [ledger, *others]
        batch.refresh()
        return lost

    def keep_mark(self, batch: Batch, owner: int, mark: float) -> Failure | None:
        """Put a high-water mark of the meter behind those in the store, unless it is surpassed.

        A mark of an account that was erased meanwhile is dropped: its meter begins anew. Returns
        why the store did not keep it.
        """
        failure = self._append_mark(batch, owner, mark, lambda meter: meter.peak >= mark)
        if failure is Failure.STORE_AWAY:
            # It is unknown whether the store has the mark.
            batch.doubted.add(owner)
        return failure

    def keep_secret(self, batch: Batch, owner: int, held: Sequence[int]) -> int:
        """Fingerprint of the secret under which an owner is answered, one of those that are `held`.

        It is the one that the owner's marks name last. If that is not held any longer, or there is
        none, it is the first of `held`, which is then kept as a mark. A store that does not answer,
        or takes no records, keeps nothing, and costs no verdict.
        """
        with suppress(LedgerConflict):
            self._append_mark(batch, owner, -float(held[0]), lambda meter: meter.secret in held)
        secret = batch.accounts[owner].meter.secret
        return secret if secret in held else held[0]

    def _append_mark(
        self, batch: Batch, owner: int, mark: float, is_kept: Callable[[AccountMeter], bool]
    ) -> Failure | None:
        """Append a mark to those of an owner, unless its meter says that it is kept already."""
        account, label = batch.accounts[owner], self._memory.meter_label
        for _ in range(APPEND_ATTEMPTS):
            if is_kept(account.meter) or batch.accounts[owner] is not account:
                return None
            append = account.append(label, account.meter.as_record(mark))
            results = self._results(batch, [], [append])
            if results is None:
                return Failure.STORE_AWAY
            (result,) = results
            if isinstance(result, Appended):
                self._appends["appended"].inc()
                account.extend(label, append.records)
                batch.refresh()
                return None
            failure, _ = self._catch_up(batch, owner, append, result)
            batch.refresh()
            if failure:
                return failure
        raise LedgerConflict(f"another writer was first {APPEND_ATTEMPTS} times on a meter")

    def _results(
        self, batch: Batch, ledgers: Sequence[int], appends: Sequence[Append]
    ) -> list[AppendResult] | None:
        """The store's answers to appends to these ledgers; None if it does not answer.

        It is unknown then which of them took place. The ledgers are barred.
        """
        is_sent = [append.key.account_id not in self._unwritten for append in appends]
        sent = [append for append, is_its in zip(appends, is_sent, strict=True) if is_its]
        if not batch.is_store_away:
            try:
                answers = iter(self._store.append_many(sent) if sent else [])
            except DependencyUnavailable:
                batch.doubted.update(batch.locate(ledger)[0] for ledger in ledgers)
            else:
                results = [next(answers) if is_its else _NOT_SENT for is_its in is_sent]
                return list(map(self._hold, appends, results))
        batch.bar(ledgers, Failure.STORE_AWAY)
        return None

    def _hold(self, append: Append, result: AppendResult) -> AppendResult:
        """The result of an append, once records that the store refused are held in memory."""
        count = len(append.records)
        if isinstance(result, Refused) and self._unwritten.hold(append.key.account_id, count):
            return Appended(append.expected_version + count)
        return result

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
    ) -> tuple[Failure | None, list[int]]:
        """Bring memory and store together after an append that was not made.

        Returns why its list keeps no record, if it does not, and the other ledgers of the batch
        that have to be decided again, too.
        """
        account = batch.accounts[owner]
        try:
            if isinstance(result, Refused):
                return Failure.LEDGER_FULL, []
            if isinstance(result, Damaged):
                batch.doubted.add(owner)
                return Failure.LEDGER_DAMAGED, []
            if isinstance(result, Conflict):
                self._appends["conflict"].inc()
                account.extend(append.key.label, result.missing_tail)
            elif isinstance(result, Renewed):
                return None, self._renew(batch, owner, result.generation)
            elif isinstance(result, Regressed):
                # The store forgot acknowledged records (a failover): give them back. If another
                # replica gives them back as well, the next attempt sees it.
                self._cache.repair(account)
        except LedgerCorrupt:
            batch.doubted.add(owner)
            return Failure.LEDGER_DAMAGED, []
        except DependencyUnavailable:
            batch.doubted.add(owner)
            return Failure.STORE_AWAY, []
        return None, []

    def _renew(self, batch: Batch, owner: int, generation: int) -> list[int]:
        """Void the memory of an account that was erased, and the decisions made on it."""
        self._appends["renewed"].inc()
        account = batch.accounts[owner]
        if account.generation >= generation:
            # An earlier append of the same batch has got this answer and renewed the account.
            return []
        renewed, failure = self._cache.renew(account.owner)
        lost = batch.renew(owner, renewed)
        if failure:
            batch.fail_owner(owner, failure)
        return lost


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
    is_turned &= batch.barred[ledgers] == 0
    turned: list[int] = np.setdiff1d(ledgers[is_turned], recorded).tolist()
    return turned
