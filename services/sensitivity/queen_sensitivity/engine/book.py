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

from queen.errors import LedgerConflict
from queen.method.facts import gather_facts
from queen.method.geometry import Geometry
from queen.method.ledger import Assessment, Standing, enforce
from queen.method.off_distribution import OffDistributionMeter
from queen_sensitivity.engine.batch import Touched, empty_assessment, fill_rows
from queen_sensitivity.engine.charging import (
    AccountPolicy,
    Queries,
    charge_owners,
    exempt_rows,
    spare_exempt,
)
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS, Recorder
from queen_sensitivity.engine.step import LedgerStep
from queen_sensitivity.index.base import IndexKind, open_index
from queen_sensitivity.ledger_store import LedgerStore
from queen_sensitivity.ledgers.account_cache import RECHECK_SECONDS, AccountCache
from queen_sensitivity.ledgers.account_ledger import LedgerFactory
from queen_sensitivity.ledgers.account_table import AccountTable
from queen_sensitivity.ledgers.ledger_table import LedgerTable
from queen_sensitivity.ledgers.meter import walk_owners
from queen_sensitivity.ledgers.repair import LedgerRepair
from queen_sensitivity.ledgers.thresholds import Thresholds

CAS_RESULTS = ("appended", "conflict", "regressed", "renewed")

__all__ = [
    "APPEND_ATTEMPTS",
    "AccountPolicy",
    "LedgerBook",
    "Queries",
    "charge_owners",
]


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
        clock: Callable[[], float] = time.monotonic,
        recheck_seconds: float = RECHECK_SECONDS,
        search: IndexKind = "auto",
    ) -> None:
        self._meter = meter
        self._thresholds = thresholds
        self._table = LedgerTable(geometry.embedding_width)
        neighbors = open_index(search, geometry, self._table)
        limit = np.inf if meter is None else meter.limit
        self._accounts = AccountTable(geometry.num_classes, limit, recheck_seconds)
        self._factory = LedgerFactory(geometry, self._accounts, self._table, neighbors)
        repair = LedgerRepair(geometry, store, self._factory, count_append, count_repaired)
        self._cache = AccountCache(
            geometry, store, self._factory, repair, meter, cached_accounts, clock, recheck_seconds
        )
        self._step = LedgerStep(geometry, neighbors)
        self._recorder = Recorder(geometry, store, self._factory, self._cache, count_append)
        self._announce = announce

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
        standing = Standing(thresholds, touched.is_crossed, is_off)
        enforced = enforce(step, charges, standing)
        assessment = spare_exempt(enforced, queries)
        if not queries.with_facts:
            return assessment
        budgets = [self._thresholds.in_force(policy.budget) for policy in charged.accounts]
        facts = gather_facts(
            *(step, charges, standing),
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
        rows = np.arange(len(queries))
        decided: Assessment | None = None
        for attempt in range(APPEND_ATTEMPTS):
            step = self._step.decide(queries, touched, rows)
            lost = self._recorder.record(queries, touched, rows, step)
            if not attempt and not lost:
                if queries.with_facts:
                    touched.settle(rows)
                return step
            decided = empty_assessment(len(queries)) if decided is None else decided
            # Ledgers are independent, so only those that lost the race are taken again.
            again = np.isin(touched.ledger_index[rows], lost)
            fill_rows(decided, rows[~again], step, ~again)
            if queries.with_facts:
                touched.settle(rows[~again])
            rows = rows[again]
            if not len(rows):
                return decided
        raise LedgerConflict(
            f"another writer was first {APPEND_ATTEMPTS} times in a row on the same ledger"
        )

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
            self._recorder.keep_mark(touched, owner, mark)
        return walk.is_off
