"""The engine: micro-batches against the ledgers of many accounts (no gRPC here).

The store is the truth and this is a cache of it at a known generation and version. Only a
batch that records something needs the store: within a generation a verdict on a stale ledger
can only be too mild, never too harsh, and a record is made under the store's compare-and-set
alone. That a generation is over, the compare-and-set says too, and the cache asks now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerConflict, LedgerError
from queen.method.facts import gather_facts
from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment, assess_candidates, enforce
from queen.method.off_distribution import OffDistributionMeter
from queen.method.sensitivity import center_distances, record_weight

from .account_cache import RECHECK_SECONDS, AccountCache
from .account_ledger import LedgerFactory
from .account_table import AccountTable
from .crossings import Crossing
from .ledger_repair import LedgerRepair
from .ledger_store import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    LedgerStore,
    Regressed,
    Renewed,
    ServerSideAppend,
)
from .ledger_table import LedgerTable
from .meter_ledger import walk_owners
from .neighbor_search import SearchKind, open_search
from .policies import (
    AccountPolicy,
    Queries,
    charge_owners,
    exempt_rows,
    group_owner,
    spare_exempt,
)
from .server_side import jittered_pause, novel_append, settled_rows
from .thresholds import Thresholds
from .touched import Touched, empty_assessment, fill_rows

APPEND_ATTEMPTS = 8
STORE_ATTEMPTS = 8
CAS_RESULTS = ("appended", "conflict", "regressed", "renewed", "fallback")

__all__ = ["AccountPolicy", "LedgerBook", "Queries", "charge_owners", "group_owner"]


class LedgerBook:
    """Verdicts on queries, and the records that follow from them.

    Not thread-safe: one dispatcher thread takes the micro-batches in turn, so a replica
    never conflicts with itself. Of `cached_accounts` the least recently used leave first.
    """

    def __init__(
        self,
        geometry: Geometry,
        thresholds: Thresholds,
        store: LedgerStore,
        *,
        cached_accounts: int,
        meter: OffDistributionMeter | None = None,
        count_append: Callable[[str], None] = lambda _: None,
        count_repaired: Callable[[int], None] = lambda _: None,
        announce: Callable[[Sequence[Crossing]], None] = lambda _: None,
        pause: Callable[[int], None] = jittered_pause,
        clock: Callable[[], float] = time.monotonic,
        recheck_seconds: float = RECHECK_SECONDS,
        search: SearchKind = "auto",
    ) -> None:
        self._geometry = geometry
        self._meter = meter
        self._thresholds = thresholds
        self._store = store
        self._table = LedgerTable(geometry.embedding_width)
        self._search = open_search(search, geometry, self._table)
        limit = np.inf if meter is None else meter.limit
        self._accounts = AccountTable(geometry.num_classes, limit, recheck_seconds)
        self._factory = LedgerFactory(geometry, self._accounts, self._table, self._search)
        repair = LedgerRepair(geometry, store, self._factory, count_append, count_repaired)
        self._cache = AccountCache(
            geometry, store, self._factory, repair, meter, cached_accounts, clock, recheck_seconds
        )
        self._count_append = count_append
        self._announce = announce
        self._pause = pause

    @property
    def accounts_cached(self) -> int:
        """Accounts in memory."""
        return len(self._cache)

    @property
    def records_cached(self) -> int:
        """Records in memory, over all accounts."""
        return self._table.total

    def forget(self, account_id: str) -> None:
        """Read an account from the store again before its next verdict."""
        self._cache.forget([account_id])

    def assess(self, queries: Queries) -> Assessment:
        """Verdicts on `queries`; whatever they record is in the store when this returns.

        Raises InvalidQuery for a budget above the packing limit, DependencyUnavailable if
        the store does not answer, and LedgerConflict if another writer kept winning.
        """
        charged, charges = charge_owners(queries)
        try:
            touched = self._touch(charged)
            step = self._decide(charged, touched)
            is_off = self._meter_rows(charged, touched, step)
            crossings = touched.crossings(self._meter)
        except BaseException:
            # Nobody knows what the store took: read it again before the next verdict.
            self._cache.set_aside([policy.account_id for policy in charged.accounts])
            raise
        finally:
            self._cache.trim()
        self._announce(crossings)
        thresholds = touched.thresholds[touched.ledger_index]
        enforced = enforce(step, charges, thresholds, touched.is_crossed, is_off)
        assessment = spare_exempt(enforced, queries)
        if not queries.with_facts:
            return assessment
        budgets = [self._thresholds.in_force(policy.budget) for policy in charged.accounts]
        facts = gather_facts(
            *(step, charges, thresholds, touched.is_crossed, is_off),
            touched.generations,
            np.array(budgets)[charged.account_index],
            exempt_rows(queries),
        )
        return replace(assessment, facts=facts)

    def _touch(self, queries: Queries) -> Touched:
        """The distinct ledgers that the batch reaches."""
        owners = [policy.account_id for policy in queries.accounts]
        budgets = [policy.budget for policy in queries.accounts]
        tables = {budget: self._thresholds.table(budget) for budget in set(budgets)}
        of_owners = np.array(budgets, np.int64)
        taken = self._cache.take(owners, of_owners, tables)
        return Touched(queries, owners, of_owners, tables, self._factory, taken)

    def _decide(self, queries: Queries, touched: Touched) -> Assessment:
        every = np.arange(len(queries))
        self._pause(0)
        step = self._step(touched, queries.embeddings, queries.labels, touched.ledger_index)
        lost = self._record(queries, touched, every, step)
        if lost:
            return self._decide_again(queries, touched, step, lost)
        if queries.with_facts:
            touched.settle(every)
        return step

    def _decide_again(
        self, queries: Queries, touched: Touched, step: Assessment, lost: list[int]
    ) -> Assessment:
        """Decide on the rows of the ledgers that lost the race until it is won.

        Ledgers are independent, so only those are taken again.
        """
        decided, rows = empty_assessment(len(queries)), np.arange(len(queries))
        for attempt in range(1, APPEND_ATTEMPTS + 1):
            again = np.isin(touched.ledger_index[rows], lost)
            fill_rows(decided, rows[~again], step, ~again)
            if queries.with_facts:
                touched.settle(rows[~again])
            rows = rows[again]
            if not len(rows):
                return decided
            if attempt < APPEND_ATTEMPTS:
                self._pause(attempt)
                step = self._step_rows(queries, touched, rows)
                lost = self._record(queries, touched, rows, step)
        for number in np.unique(touched.ledger_index[rows]).tolist():
            waiting = rows[touched.ledger_index[rows] == number]
            self._decide_at_store(queries, touched, number, waiting, decided)
        return decided

    def _decide_at_store(
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
            settled, recorded = self._take_at_store(self._store, queries, touched, number, rows)
            step = self._step_rows(queries, touched, settled)
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

    def _take_at_store(
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
        embeddings, labels = queries.embeddings[rows], queries.labels[rows]
        distances = center_distances(self._geometry, embeddings, labels)
        ledger_index = touched.ledger_index[rows]
        is_novel = self._is_novel(touched, ledger_index, embeddings, labels, distances)
        candidates = rows[is_novel]
        if not len(candidates):
            return rows, candidates
        append = self._append(touched, number, queries.embeddings[candidates])
        cqs, threshold = self._factory.cqs(account, label), float(touched.thresholds[number])
        result = store.append_if_novel(novel_append(self._geometry, append, cqs, threshold))
        if isinstance(result, Regressed | Renewed):
            self._catch_up(touched, owner, append, result)
            return rows[:0], rows[:0]
        self._count_append("fallback")
        self._factory.extend(account, label, result.missing_tail)
        return settled_rows(rows, candidates, result)

    def _step_rows(
        self, queries: Queries, touched: Touched, rows: NDArray[np.integer]
    ) -> Assessment:
        ledger_index = touched.ledger_index[rows]
        return self._step(touched, queries.embeddings[rows], queries.labels[rows], ledger_index)

    def _step(
        self,
        touched: Touched,
        embeddings: NDArray[np.float32],
        labels: NDArray[np.integer],
        ledger_index: NDArray[np.integer],
    ) -> Assessment:
        """The ledger step on some rows, against the ledgers as they are cached."""
        distances = center_distances(self._geometry, embeddings, labels)
        is_novel = self._is_novel(touched, ledger_index, embeddings, labels, distances)
        return assess_candidates(
            self._geometry,
            embeddings,
            labels,
            ledger_index,
            is_novel,
            touched.cqs(),
            touched.thresholds,
            distances,
        )

    def _is_novel(
        self,
        touched: Touched,
        ledger_index: NDArray[np.integer],
        embeddings: NDArray[np.float32],
        labels: NDArray[np.integer],
        distances: FloatArray,
    ) -> NDArray[np.bool_]:
        """Which rows are inside their region, and novel to their ledger."""
        is_novel = np.zeros(len(labels), np.bool_)
        # A row outside its region is PRESERVE whatever lies near it.
        inside = (distances < self._geometry.sensitive_radius[labels]).nonzero()[0]
        if len(inside):
            numbers = touched.numbers()[ledger_index[inside]]
            points = embeddings.take(inside, axis=0)
            is_novel[inside] = self._search.is_novel(numbers, points, labels[inside])
        return is_novel

    def _record(
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
            self._append(touched, number, embeddings[start:end])
            for number, start, end in zip(numbers.tolist(), bounds, bounds[1:], strict=False)
        ]
        results = self._store.append_many(appends)

        is_appended = np.array([isinstance(result, Appended) for result in results])
        weights = record_weight(self._geometry, step.sqs[recorded])
        self._keep(touched, numbers, np.diff(bounds), is_appended, embeddings, weights)
        lost: list[int] = []
        for place in np.flatnonzero(~is_appended).tolist():
            number, append, result = int(numbers[place]), appends[place], results[place]
            lost += [number, *self._catch_up(touched, touched.place(number)[0], append, result)]
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

    def _meter_rows(
        self, charged: Queries, touched: Touched, step: Assessment
    ) -> NDArray[np.bool_]:
        """Whether each row's owner was off-distribution before it, (R,); new marks are kept."""
        if self._meter is None:
            return np.zeros(len(charged), np.bool_)
        is_far = self._meter.is_far(step.distances, charged.labels)
        slots, table = touched.slots, self._accounts
        walk = walk_owners(
            self._meter,
            lambda owner: touched.accounts[owner].meter,
            table.level[slots],
            table.peak[slots],
            charged.account_index,
            is_far,
            charged.embeddings,
        )
        table.level[slots] = walk.levels
        for owner, mark in walk.marks:
            self._keep_mark(touched, owner, mark)
        return walk.is_off

    def _keep_mark(self, touched: Touched, owner: int, mark: float) -> None:
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
            self._catch_up(touched, owner, append, result)
        raise LedgerConflict(f"another writer was first {APPEND_ATTEMPTS} times on a meter")

    def _append(self, touched: Touched, number: int, records: NDArray[np.float32]) -> Append:
        owner, label = touched.place(number)
        account = touched.accounts[owner]
        return self._factory.append(touched.owners[owner], account, label, records)

    def _catch_up(
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
