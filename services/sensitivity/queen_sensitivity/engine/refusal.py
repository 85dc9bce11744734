"""Queries that change nothing, since they may be refused.

Under `Scope.REPEATED` a query that finds an owner over its budget or off-distribution is idle: no
ledger keeps it, and it moves no meter. So a request is charged up to the query that spends the
budget, whatever becomes of the request, and an owner that is over stays as it is. A query that
failed is idle as well.

Shapes: B queries, R >= B rows that charge O owners, S of these rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.enforcement import repeat_radius
from queen.method.geometry import Geometry
from queen.method.ledger import Assessment
from queen.method.meter.off_distribution import OffDistributionMeter, walk_owners
from queen.method.neighbors import Listed, are_near
from queen_sensitivity.engine.batch import Batch
from queen_sensitivity.engine.step import LedgerStep, meter_rows
from queen_sensitivity.ledgers.ledger_memory import AccountTable
from queen_sensitivity.ledgers.ledger_table import LedgerTable

Claims = NDArray[np.bool_]


class IdleRule:
    """Decides on rows by the snapshot of a batch, and tells the idle ones; it records nothing."""

    def __init__(
        self,
        geometry: Geometry,
        meter: OffDistributionMeter | None,
        step: LedgerStep,
        accounts: AccountTable,
        ledgers: LedgerTable,
    ) -> None:
        self._geometry = geometry
        self._meter = meter
        self._step = step
        self._accounts = accounts
        self._ledgers = ledgers

    def decide(self, batch: Batch, rows: NDArray[np.integer]) -> tuple[Assessment, Claims]:
        """The ledger step on `rows` (S,) of the batch, ascending, and which are idle, (S,).

        Which rows are idle follows from the rows before them, and an idle row keeps a later row of
        another account from finding a group over. So the accounts are settled first, and the groups
        with what is left: a few rounds, however many accounts a group has.
        """
        is_failed = np.zeros(len(rows), np.bool_)
        if batch.is_bound is None:
            if batch.has_failed:
                is_failed = self._fail_barred(batch, rows, is_failed)
            return self._step.decide(batch, rows, is_failed if is_failed.any() else None), is_failed
        is_bound = batch.is_bound[rows]
        is_idle = is_bound & self._are_spent(batch)[rows]
        if batch.has_failed:
            is_idle |= self._fail_barred(batch, rows, is_idle)
        while True:
            step = self._step.decide(batch, rows, is_idle)
            is_spent = step.is_over | self._turn_off(batch, rows, step, is_idle)
            is_found = is_bound & is_spent & ~is_idle
            if not np.count_nonzero(is_found):
                return step, is_idle
            is_idle |= is_bound & _behind(batch, rows, is_found)

    def repeated(self, batch: Batch, is_idle: Claims) -> Claims | None:
        """Whether each query with an idle row repeats a record of its account, (B,).

        `is_idle` (R,) are all rows of the batch, whose records are in memory. None without any.
        """
        idle = np.unique(batch.charges.row[is_idle[: batch.counted]])
        if not len(idle):
            return None
        rows, numbers = batch.select(idle), batch.snapshot.numbers
        is_repeated = np.zeros(len(batch.charges.scopes), np.bool_)
        # The index tells for little which rows have a record near them at all.
        near = (~self._step.is_novel(rows, numbers)).nonzero()[0]
        if len(near):
            radii = repeat_radius(self._geometry)[rows.labels[near]]
            ledgers, lists = np.unique(numbers[rows.ledger_index[near]], return_inverse=True)
            held = [self._ledgers.records(ledger) for ledger in ledgers.tolist()]
            sizes = [len(records) for records in held]
            records = Listed(np.concatenate(held), np.repeat(np.arange(len(held)), sizes))
            queries = Listed(rows.embeddings[near], lists.reshape(-1))
            is_repeated[idle[near]] = are_near(queries, records, radii)
        return is_repeated

    def _fail_barred(self, batch: Batch, rows: NDArray[np.integer], is_idle: Claims) -> Claims:
        """Fail the queries that a barred ledger would have to keep.

        Returns which of `rows` (S,) are of failed queries, (S,): they are idle, too, as those that
        `is_idle` marks. Since a barred ledger gets no record, no row depends on the rows before it.
        """
        ledgers = batch.ledger_index[rows]
        reached = ((batch.barred[ledgers] > 0) & ~is_idle).nonzero()[0]
        if len(reached):
            seen, ledgers = batch.snapshot, ledgers[reached]
            is_spent = seen.is_over[batch.owner[ledgers]]
            is_reversed = is_spent & (seen.cqs[ledgers] > batch.thresholds[ledgers])
            is_kept = self._step.novel_sensitive(batch, rows[reached]) & ~is_reversed
            batch.fail(batch.query[rows[reached[is_kept]]], batch.barred[ledgers[is_kept]])
        is_failed: Claims = batch.failed[batch.query[rows]] > 0
        return is_failed

    def _are_spent(self, batch: Batch) -> Claims:
        """Whether an owner of each row's query is over or off-distribution already, (R,)."""
        is_spent = batch.snapshot.is_over
        if self._meter is not None:
            limits = self._meter.limits(len(batch.accounts), batch.first_group)
            is_spent = is_spent | (batch.snapshot.peaks >= limits)
        return batch.by_query(is_spent[batch.charges.owner])

    def _turn_off(
        self, batch: Batch, rows: NDArray[np.integer], step: Assessment, is_idle: Claims
    ) -> Claims:
        """Whether the owner of each row gets off-distribution before it, (S,).

        Only where the rows are all of the batch: meters are walked once, over whole batches.
        """
        is_off = np.zeros(len(rows), np.bool_)
        if self._meter is None or len(rows) < batch.size:
            return is_off
        first = step.first(batch.counted)
        moved = meter_rows(self._geometry, self._meter, batch, is_idle[: batch.counted], first)
        if np.count_nonzero(moved.steps > 0):
            walks = walk_owners(
                self._meter,
                moved,
                self._accounts.level[batch.slots],
                self._accounts.peak[batch.slots],
                lambda owner: batch.accounts[owner].meter.copy(),
            )
            is_off[: batch.counted] = walks.is_off
        return is_off


def _behind(batch: Batch, rows: NDArray[np.integer], is_found: Claims) -> Claims:
    """Rows of the queries that find an owner spent for sure, (S,), given rows that seem to, (S,).

    An account's standing follows from its own queries, and one that its group makes idle too soon
    is idle all the same. So what seems so of accounts is sure; of groups, once no account seems so.
    From its first such query on, an owner stays spent.
    """
    query, owner = batch.query[rows], batch.charged.account_index[rows]
    is_own = is_found & (rows < len(batch.charges.scopes))
    is_sure = is_own if np.count_nonzero(is_own) else is_found
    since = np.full(len(batch.accounts), len(batch.charges.scopes))
    np.minimum.at(since, owner[is_sure], query[is_sure])
    is_spent = np.zeros(len(batch.charges.scopes), np.bool_)
    is_spent[query[query >= since[owner]]] = True
    behind: Claims = is_spent[query]
    return behind
