"""The engine: micro-batches against the ledgers of many accounts (no gRPC here).

The store is the truth, and the memory is a cache of the store at a known generation and version.
Only a batch that records something needs the store: within a generation a verdict on a stale ledger
can only be too mild, never too harsh, and a record is made under the store's compare-and-set alone.
(Under `Scope.COVERED` a record that is not known yet may cover a query, which is then refused.)
The compare-and-set also tells when a generation has ended; for accounts that record nothing, the
cache asks the store now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import LedgerConflict
from queen.method.crossing import CrossingPolicy, Thresholds
from queen.method.facts import POLICIES, gather_facts, state_observed
from queen.method.geometry import Geometry
from queen.method.ledger import (
    Assessment,
    Charge,
    Verdict,
    enforce,
)
from queen.method.off_distribution import OffDistributionMeter, tail_cells, walk_owners
from queen_sensitivity.engine.batch import (
    Batch,
    Charged,
    Queries,
    Snapshot,
    charge_owners,
    copy_rows,
    empty_assessment,
    exempt_rows,
    fill_queries,
    fill_rows,
    spare_exempt,
)
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS, Recorder
from queen_sensitivity.engine.refusal import Claims, Decided, Judgement, RequestJudge
from queen_sensitivity.engine.step import LedgerStep, MeteredRows, meter_rows
from queen_sensitivity.ledgers.account_cache import AccountCache
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory


@dataclass(frozen=True, eq=False)
class Limits:
    """The limits that queries are held to: regions, thresholds, and the off-distribution meter.

    `charge` says which queries are charged.
    """

    geometry: Geometry
    thresholds: Thresholds
    meter: OffDistributionMeter | None = None
    charge: Charge = Charge.REGIONS

    @classmethod
    def of_bundle(
        cls, bundle: Bundle, default: CrossingPolicy, charge: Charge = Charge.REGIONS
    ) -> Limits:
        """The limits that a bundle was fitted for, with the policy of owners that state none."""
        thresholds = Thresholds(bundle.geometry, bundle.mean_squared_sqs, default)
        return cls(bundle.geometry, thresholds, bundle.meter, charge)


class LedgerBook:
    """Verdicts on queries, and the records that follow from them; `open_book` builds it.

    Not thread-safe: a single dispatcher thread assesses the micro-batches in turn, so a replica
    never conflicts with itself.
    """

    def __init__(
        self,
        limits: Limits,
        memory: LedgerMemory,
        cache: AccountCache,
        step: LedgerStep,
        judge: RequestJudge,
        recorder: Recorder,
        announce: Callable[[Sequence[Crossing]], None],
    ) -> None:
        self.limits = limits
        self.memory = memory
        self.cache = cache
        self._step = step
        self._judge = judge
        self._recorder = recorder
        self._announce = announce

    @property
    def accounts_cached(self) -> int:
        """Accounts in memory."""
        return len(self.cache)

    @property
    def records_cached(self) -> int:
        """Records in memory, over all accounts."""
        return self.memory.ledgers.total

    def forget(self, owner: str) -> None:
        """Read an owner from the store again before the next verdict."""
        self.cache.forget([owner])

    def assess(self, queries: Queries) -> Assessment:
        """Verdicts on `queries`; their records are in the store when this returns.

        Raises InvalidQuery for a budget or a class cap above the packing limit,
        DependencyUnavailable if the store does not answer, and LedgerConflict if another writer
        kept winning.
        """
        assessment, is_settled = self._assess(queries)
        return assessment if is_settled is None else self._finish(queries, assessment, is_settled)

    def _finish(self, queries: Queries, whole: Assessment, is_settled: Claims) -> Assessment:
        """Assess the postponed requests, after which `whole` holds the decisions on all queries."""
        while not is_settled.all():
            rows = (~is_settled).nonzero()[0]
            part, settled = self._assess(queries.select(rows))
            done = np.ones(len(rows), np.bool_) if settled is None else settled
            fill_queries(whole, rows, part, done)
            is_settled[rows[done]] = True
        return whole

    def _assess(self, queries: Queries) -> tuple[Assessment, Claims | None]:
        """Decisions on the queries, and which of them are settled; None if all are."""
        charged = charge_owners(queries)
        try:
            batch = self._open(charged)
            if queries.may_be_refused:
                judgement = self._judge.judge(batch, queries)
                decided = self._carry_out(batch, queries, judgement)
                is_settled = None if judgement.is_settled.all() else judgement.is_settled
            else:
                decided, is_settled = self._record(batch, np.arange(batch.size)), None
            crossings = batch.crossings(self.limits.meter)
        except BaseException:
            # It is unknown which records the store has: read the accounts again before their next
            # verdict.
            self.cache.set_aside([policy.account_id for policy in charged.rows.accounts])
            raise
        finally:
            self.cache.trim()
        if crossings:
            self._announce(crossings)
        counted = decided.step.first(batch.counted)
        standing = batch.standing(decided.is_off, decided.is_covered)
        enforced = spare_exempt(enforce(counted, charged.charges, standing), queries)
        if not queries.with_facts:
            return enforced, is_settled
        in_force = self.limits.thresholds.in_force
        owners = charged.rows.accounts[: int(charged.charges.owner.max()) + 1]
        policies = [in_force(policy.crossing) for policy in owners]
        facts = gather_facts(
            *(counted, charged.charges, standing),
            batch.generations[: batch.counted],
            np.array(policies, POLICIES)[charged.charges.owner],
            exempt_rows(queries),
        )
        facts["anywhere"] = self.limits.charge is Charge.ANYWHERE
        is_far = self._far_observed(batch, decided.step)
        state_observed(facts, charged.observed, decided.step, batch.generations, is_far)
        return replace(enforced, facts=facts), is_settled

    def _far_observed(self, batch: Batch, step: Assessment) -> Claims:
        """Whether each observed charge is in the tail, in a cell that is new to its owner, (S,)."""
        charged, rows = batch.charged, np.arange(batch.counted, batch.size)
        is_new = np.zeros(len(rows), np.bool_)
        meter = self.limits.meter
        if meter is None or not len(rows):
            return is_new
        far = rows[meter.is_far(step.distances[rows], charged.labels[rows])]
        cells = tail_cells(self.limits.geometry, charged.embeddings[far], charged.labels[far])
        for row, cell in zip(far.tolist(), cells, strict=True):
            owner = batch.accounts[int(charged.account_index[row])]
            is_new[row - batch.counted] = not owner.meter.was_asked(cell)
        return is_new

    def _open(self, charged: Charged) -> Batch:
        """The batch with the accounts that it charges."""
        policies = charged.rows.accounts
        thresholds = self.limits.thresholds.of_owners([policy.crossing for policy in policies])
        fetched = self.cache.fetch([policy.account_id for policy in policies], thresholds)
        return Batch(charged, thresholds, fetched, self.memory)

    def _carry_out(self, batch: Batch, queries: Queries, judgement: Judgement) -> Decided:
        """Record the accepted requests; the decisions on the refused ones stand beside them."""
        refused, rows = None, batch.rows_of(judgement.is_refused)
        if len(rows):
            refused = self._judge.refused(batch, queries, judgement)
            batch.settle(rows)
        decided = self._record(batch, batch.all_rows_of(judgement.is_accepted))
        is_covered = self._judge.coverage(batch, queries, decided.step, judgement.is_covered)
        standing = batch.standing(decided.is_off, is_covered)
        enforced = enforce(decided.step.first(batch.counted), batch.charges, standing)
        is_reversed = enforced.verdicts == Verdict.REVERSE
        # Another writer was first after the request had been accepted, and recorded in part.
        is_covered |= is_reversed & judgement.is_accepted & queries.refusable()
        if refused is not None and refused.is_covered is not None:
            copy_rows(decided.step, rows, refused.step)
            decided.is_off[rows] = refused.is_off[rows]
            is_covered = np.where(judgement.is_refused, refused.is_covered, is_covered)
        return replace(decided, is_covered=is_covered)

    def _record(self, batch: Batch, rows: NDArray[np.integer]) -> Decided:
        """Decisions on `rows` (S,) of the batch, once their records and marks are in the store."""
        step = self._decide(batch, rows)
        return Decided(step, self._walk_meters(batch, step, rows))

    def _decide(self, batch: Batch, rows: NDArray[np.integer]) -> Assessment:
        """The ledger step on `rows` (S,), once its records are in the store: (R,) with blanks."""
        if not len(rows):
            return empty_assessment(batch.size)
        decided = None if len(rows) == batch.size else empty_assessment(batch.size)
        for _ in range(APPEND_ATTEMPTS):
            before = batch.snapshot
            step = self._step.decide(batch, rows)
            lost = self._recorder.record(batch, rows, step)
            if decided is None and not lost:
                batch.settle(rows)
                return step
            decided = empty_assessment(batch.size) if decided is None else decided
            is_lost = _lost_rows(batch, rows, step, lost, before)
            fill_rows(decided, rows, step, ~is_lost)
            batch.settle(rows[~is_lost])
            rows = rows[is_lost]
            if not len(rows):
                return decided
        raise LedgerConflict(
            f"another writer was first {APPEND_ATTEMPTS} times in a row on the same ledger"
        )

    def _walk_meters(
        self, batch: Batch, step: Assessment, rows: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Whether the owner of each row that counts was off-distribution before it.

        New marks are kept. Only `rows` (S,) move the meters; the others are False.
        """
        meter, counted = self.limits.meter, batch.counted
        is_off = np.zeros(counted, np.bool_)
        if meter is None or not len(rows):
            return is_off
        table, slots = self.memory.accounts, batch.slots
        chosen = rows[rows < counted]
        metered = MeteredRows(batch.select(chosen), batch.charged.account_index[chosen])
        walks = walk_owners(
            meter,
            meter_rows(self.limits.geometry, meter, metered, step.select(chosen)),
            table.level[slots],
            table.peak[slots],
            lambda owner: batch.accounts[owner].meter,
        )
        table.level[slots] = walks.levels
        for owner, mark in walks.marks:
            self._recorder.keep_mark(batch, owner, mark)
        is_off[chosen] = walks.is_off
        return is_off


def _lost_rows(
    batch: Batch,
    rows: NDArray[np.integer],
    step: Assessment,
    lost: Sequence[int],
    before: Snapshot,
) -> NDArray[np.bool_]:
    """Which of `rows` (S,) are to be decided again, since the ledgers `lost` a race.

    Those of these ledgers. And an owner whose records did not get into the store may not be over
    after all: where a claim that they put it over has reversed a row, that row and what follows
    it in its ledger, none of which was recorded. A row that stands falls back to the claim of the
    snapshot `before` the step, which can only be too mild.
    """
    ledgers = batch.ledger_index[rows]
    is_lost = np.isin(ledgers, lost)
    owners = batch.owner[ledgers]
    is_unsure = step.is_over & ~before.is_over[owners] & np.isin(owners, batch.owner[lost])
    harsh = (is_unsure & (step.verdicts == Verdict.REVERSE)).nonzero()[0]
    first = np.full(len(batch.owner), len(rows))
    np.minimum.at(first, ledgers[harsh], harsh)
    is_lost |= is_unsure & (np.arange(len(rows)) >= first[ledgers])
    step.is_over[is_unsure & ~is_lost] = False
    return is_lost
