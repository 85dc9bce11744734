"""Requests that are refused whole: they are told before anything of them is recorded.

Under `Scope.COVERED` a request is refused if one of its queries is REVERSE, and nothing of it is
charged. So the requests of a micro-batch are judged first, by the ledgers in memory, and only
accepted requests are recorded. Requests whose verdicts depend on whether an earlier request is
refused are postponed: they are judged again once that request is settled.

Shapes: B queries, R >= B rows that charge O owners, L ledgers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.coverage import covered_by_fresh
from queen.method.geometry import Geometry
from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, Owners, Verdict, enforce
from queen.method.off_distribution import OffDistributionMeter, walk_owners
from queen_sensitivity.engine.batch import (
    Batch,
    Queries,
    empty_assessment,
    fill_rows,
)
from queen_sensitivity.engine.step import LedgerStep, MeteredRows, meter_rows
from queen_sensitivity.ledgers.ledger_memory import AccountTable

Claims = NDArray[np.bool_]
Indices = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Decided:
    """The decisions on some rows of a batch, (R,) with blanks for the others.

    `is_off` says of each row that counts whether its owner was off-distribution before it.
    `is_covered` (B,) says whether a record of its account covers the query; None where no query can
    be refused.
    """

    step: Assessment
    is_off: Claims
    is_covered: Claims | None = None


@dataclass(frozen=True, eq=False)
class Judgement:
    """The queries (B,) of accepted and of refused requests; those of others are postponed."""

    is_accepted: Claims
    is_refused: Claims
    is_covered: Claims
    """Whether a record of its account covered the query before the batch, (B,)."""

    @property
    def is_settled(self) -> Claims:
        """Whether the query's request is accepted or refused, (B,)."""
        return self.is_accepted | self.is_refused


class RequestJudge:
    """Judges requests by the snapshot of a batch; it records nothing and moves no meter."""

    def __init__(
        self,
        geometry: Geometry,
        meter: OffDistributionMeter | None,
        step: LedgerStep,
        accounts: AccountTable,
    ) -> None:
        self._geometry = geometry
        self._meter = meter
        self._step = step
        self._accounts = accounts

    def judge(self, batch: Batch, queries: Queries) -> Judgement:
        """Accept, refuse or postpone each request of the batch.

        An account that is over when the batch begins records nothing of what it may ask: its
        requests do not change one another, and all of them are settled at once. Others are settled
        as if no request was refused, up to the first in their circle that would be.
        """
        is_refusable, requests = queries.refusable(), queries.requests()
        is_covered = np.zeros(len(queries), np.bool_)
        own = is_refusable.nonzero()[0]
        if len(own):
            is_covered[own] = ~self._step.is_novel(batch.select(own), batch.snapshot.numbers)
        is_spent = batch.of_any_owner(self._spent(batch))
        is_refused = _whole(requests, is_refusable & is_spent & ~is_covered)
        is_left = ~is_refused
        if not np.count_nonzero(is_left & is_refusable & ~is_spent):
            return Judgement(is_left, is_refused, is_covered)
        tried = self._decided(batch, _in_common(batch, batch.rows_of(is_left)))
        covered = self.coverage(batch, queries, tried.step, is_covered)
        is_harsh = is_left & self._refused_rows(batch, queries, replace(tried, is_covered=covered))
        if not np.count_nonzero(is_harsh):
            return Judgement(is_left, is_refused, is_covered)
        circles = batch.circles()
        is_accepted = is_left & (np.arange(len(queries)) < _first(is_harsh, circles)[circles])
        # What accepted requests change may change the verdicts on those behind them.
        is_moved = np.zeros(len(batch.accounts), np.bool_)
        is_moved[circles[is_accepted & self._moving(batch, queries, tried.step)]] = True
        is_next = is_left & ~is_accepted & ~is_moved[circles]
        by_itself = self._settled(batch, queries, Judgement(is_accepted, is_next, is_covered))
        return Judgement(
            is_accepted | by_itself.is_accepted, is_refused | by_itself.is_refused, is_covered
        )

    def refused(self, batch: Batch, queries: Queries, judgement: Judgement) -> Decided:
        """Decisions on the refused requests: each as if it came next, and were recorded."""
        rows = batch.rows_of(judgement.is_refused)
        view = _alone(batch, rows, queries.requests()[batch.charges.row[rows]])
        decided = self._decided(batch, view)
        last = np.count_nonzero(rows < len(queries))
        own = rows[:last]
        embeddings, labels, ledger_index = view.queries
        is_open = (queries.refusable() & ~judgement.is_covered)[own]
        is_covered = judgement.is_covered & judgement.is_refused
        is_covered[own] |= self._fresh(
            LedgerRows(embeddings[:last], labels[:last], ledger_index[:last]),
            decided.step.verdicts[own],
            is_open,
        )
        return replace(decided, is_covered=is_covered)

    def _settled(self, batch: Batch, queries: Queries, pending: Judgement) -> Judgement:
        """The requests among those that `pending` marks as refused that can be settled by now.

        A request behind others that are refused, or change nothing, is decided as if it came next:
        all of them are settled up to the first of their circle that is accepted and changes
        something.
        """
        decided = self.refused(batch, queries, pending)
        is_refused = self._refused_rows(batch, queries, decided) & pending.is_refused
        is_kept = pending.is_refused & ~is_refused
        requests, circles = queries.requests(), batch.circles()
        is_moving = _whole(requests, is_kept & self._moving(batch, queries, decided.step))
        first = _first(is_moving, circles)[circles]
        is_settled = np.append(requests, len(queries))[first] >= requests
        return Judgement(is_kept & is_settled, is_refused & is_settled, pending.is_covered)

    def _refused_rows(self, batch: Batch, queries: Queries, decided: Decided) -> Claims:
        """Whether the query's request holds a query that is reversed and may be refused, (B,)."""
        standing = batch.standing(decided.is_off, decided.is_covered)
        enforced = enforce(decided.step.first(batch.counted), batch.charges, standing)
        is_reversed = enforced.verdicts == Verdict.REVERSE
        return _whole(queries.requests(), is_reversed & queries.refusable())

    def _moving(self, batch: Batch, queries: Queries, step: Assessment) -> Claims:
        """Whether the query is recorded by the step, or may move a meter, (B,)."""
        counted = step.verdicts[: batch.counted] == Verdict.RECORD
        is_moving: Claims = np.bincount(batch.charges.row, counted, len(queries)) > 0
        if self._meter is not None:
            is_moving |= self._meter.is_far(step.distances[: len(queries)], queries.labels)
        return is_moving

    def coverage(
        self, batch: Batch, queries: Queries, step: Assessment, is_covered: Claims
    ) -> Claims:
        """Whether a record of its account covers each query before it, (B,).

        `is_covered` (B,) is by the records before the batch; the step tells the others.
        """
        own = np.arange(len(queries))
        is_open = queries.refusable() & ~is_covered
        return is_covered | self._fresh(batch.select(own), step.verdicts[own], is_open)

    def _fresh(self, rows: LedgerRows, verdicts: NDArray[np.uint8], is_open: Claims) -> Claims:
        radius = self._geometry.coverage_radius[rows.labels]
        return covered_by_fresh(rows, radius, verdicts, is_open & (verdicts != Verdict.RECORD))

    def _spent(self, batch: Batch) -> Claims:
        """Owners that are over their budget or off-distribution before the batch, (O,)."""
        seen, meter = batch.snapshot, self._meter
        return seen.is_over if meter is None else seen.is_over | (seen.peaks >= meter.limit)

    def _decided(self, batch: Batch, view: _View) -> Decided:
        """The step and a walk of the meters on the rows of a view, which change nothing."""
        numbers = batch.snapshot.numbers[view.ledger]
        step = self._step.decide_rows(view.queries, numbers, view.levels)
        whole, is_off = empty_assessment(batch.size), np.zeros(batch.counted, np.bool_)
        fill_rows(whole, view.rows, step, np.ones(len(view.rows), np.bool_))
        is_off[view.rows] = self._walked(batch, view, step)
        return Decided(whole, is_off)

    def _walked(self, batch: Batch, view: _View, step: Assessment) -> Claims:
        meter, slots = self._meter, batch.slots[view.owner]
        if meter is None:
            return np.zeros(len(view.rows), np.bool_)
        metered = MeteredRows(view.queries, view.owner_index)
        walks = walk_owners(
            meter,
            meter_rows(self._geometry, meter, metered, step),
            self._accounts.level[slots],
            self._accounts.peak[slots],
            lambda index: batch.accounts[int(view.owner[index])].meter.copy(),
        )
        return walks.is_off


class _View(NamedTuple):
    """Rows (S,) of a batch, and the ledgers and owners that they are decided on.

    `queries` (S,) are the rows with indices of these ledgers, `levels` their numbers, and `ledger`
    the ledger of the batch that each is taken from. `owner_index` (S,) is the owner of each row,
    and `owner` the owner of the batch that each is taken from.
    """

    rows: Indices
    queries: LedgerRows
    levels: LedgerLevels
    ledger: Indices
    owner_index: Indices
    owner: Indices


def _in_common(batch: Batch, rows: Indices) -> _View:
    """The rows on the ledgers of the batch, where they change one another."""
    ledger, owner = np.arange(len(batch.labels)), np.arange(len(batch.accounts))
    owner_index = batch.charged.account_index[rows]
    return _View(rows, batch.select(rows), batch.levels(), ledger, owner_index, owner)


def _alone(batch: Batch, rows: Indices, requests: Indices) -> _View:
    """The rows on a copy of the ledgers for each of their `requests` (S,)."""
    pairs = requests * len(batch.labels) + batch.ledger_index[rows]
    ledgers, ledger_index = np.unique(pairs, return_inverse=True)
    owner_pairs = requests * len(batch.accounts) + batch.charged.account_index[rows]
    owners, owner_index = np.unique(owner_pairs, return_inverse=True)
    of_ledger = np.empty(len(ledgers), np.int64)
    of_ledger[ledger_index] = owner_index
    ledger, owner = ledgers % len(batch.labels), owners % len(batch.accounts)
    levels = batch.levels()
    queries = batch.select(rows)._replace(ledger_index=ledger_index)
    return _View(
        rows, queries, _copied(levels, of_ledger, ledger, owner), ledger, owner_index, owner
    )


def _copied(
    levels: LedgerLevels, of_ledger: Indices, ledger: Indices, owner: Indices
) -> LedgerLevels:
    """The numbers of ledgers and owners, each of them as often as it is named."""
    owners = levels.known_owners()
    caps = None if owners.caps is None else owners.caps[ledger]
    copies = Owners(of_ledger, owners.lacking[owner], caps)
    return LedgerLevels(levels.cqs[ledger], levels.thresholds[ledger], copies)


def _first(claims: Claims, circles: Indices) -> Indices:
    """The first query of each circle with the claim, (O,); B where there is none."""
    first = np.full(int(circles.max()) + 1, len(claims))
    np.minimum.at(first, circles[claims], claims.nonzero()[0])
    return first


def _whole(requests: Indices, claims: Claims) -> Claims:
    """Whether the claim holds for a query of the same request, (B,)."""
    of_request: Claims = np.bincount(requests, claims) > 0
    return of_request[requests]
