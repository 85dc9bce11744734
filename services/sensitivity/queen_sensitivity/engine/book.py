"""The engine: micro-batches against the ledgers of many accounts (no gRPC here).

The store is the truth, and the memory is a cache of the store at a known generation and version.
Only a batch that records something needs the store: within a generation a verdict on a stale ledger
can only be too mild, never too harsh, and a record is made under the store's compare-and-set alone.
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
from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import (
    Assessment,
    LedgerRows,
    Verdict,
    assess_candidates,
    enforce,
)
from queen.method.off_distribution import (
    MeterRows,
    OffDistributionMeter,
    room_left,
    tail_cells,
    walk_owners,
)
from queen.method.sensitivity import center_distances
from queen_sensitivity.engine.batch import (
    Batch,
    Charged,
    Queries,
    Snapshot,
    charge_owners,
    empty_assessment,
    exempt_rows,
    fill_rows,
    spare_exempt,
)
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS, Recorder
from queen_sensitivity.ledgers.account_cache import AccountCache
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory
from queen_sensitivity.ledgers.ledger_table import Numbers
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex


@dataclass(frozen=True, eq=False)
class Limits:
    """The limits that queries are held to: regions, thresholds, and the off-distribution meter."""

    geometry: Geometry
    thresholds: Thresholds
    meter: OffDistributionMeter | None = None

    @classmethod
    def of_bundle(cls, bundle: Bundle, default: CrossingPolicy) -> Limits:
        """The limits that a bundle was fitted for, with the policy of owners that state none."""
        thresholds = Thresholds(bundle.geometry, bundle.mean_squared_sqs, default)
        return cls(bundle.geometry, thresholds, bundle.meter)


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
        recorder: Recorder,
        announce: Callable[[Sequence[Crossing]], None],
    ) -> None:
        self.limits = limits
        self.memory = memory
        self.cache = cache
        self._step = step
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
        charged = charge_owners(queries)
        try:
            batch = self._open(charged)
            step = self._decide(batch)
            is_off = self._walk_meters(batch, step)
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
        counted, standing = step.first(batch.counted), batch.standing(is_off)
        enforced = spare_exempt(enforce(counted, charged.charges, standing), queries)
        if not queries.with_facts:
            return enforced
        in_force = self.limits.thresholds.in_force
        owners = charged.rows.accounts[: int(charged.charges.owner.max()) + 1]
        policies = [in_force(policy.crossing) for policy in owners]
        facts = gather_facts(
            *(counted, charged.charges, standing),
            batch.generations[: batch.counted],
            np.array(policies, POLICIES)[charged.charges.owner],
            exempt_rows(queries),
        )
        state_observed(facts, charged.observed, step, batch.generations)
        return replace(enforced, facts=facts)

    def _open(self, charged: Charged) -> Batch:
        """The batch with the accounts that it charges."""
        policies = charged.rows.accounts
        thresholds = self.limits.thresholds.of_owners([policy.crossing for policy in policies])
        fetched = self.cache.fetch([policy.account_id for policy in policies], thresholds)
        return Batch(charged, thresholds, fetched, self.memory)

    def _decide(self, batch: Batch) -> Assessment:
        """The ledger step on all rows, once its records are in the store."""
        rows = np.arange(batch.size)
        decided: Assessment | None = None
        for attempt in range(APPEND_ATTEMPTS):
            before = batch.snapshot
            step = self._step.decide(batch, rows)
            lost = self._recorder.record(batch, rows, step)
            if not attempt and not lost:
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

    def _walk_meters(self, batch: Batch, step: Assessment) -> NDArray[np.bool_]:
        """Whether the owner of each row that counts was off-distribution before it.

        New marks are kept.
        """
        meter, counted = self.limits.meter, batch.counted
        if meter is None:
            return np.zeros(counted, np.bool_)
        table, slots = self.memory.accounts, batch.slots
        walks = walk_owners(
            meter,
            self._meter_rows(meter, batch, step.first(counted)),
            table.level[slots],
            table.peak[slots],
            lambda owner: batch.accounts[owner].meter,
        )
        table.level[slots] = walks.levels
        for owner, mark in walks.marks:
            self._recorder.keep_mark(batch, owner, mark)
        return walks.is_off

    def _meter_rows(self, meter: OffDistributionMeter, batch: Batch, step: Assessment) -> MeterRows:
        """How each row that counts moves the meter of its owner, by its decision in `step`."""
        geometry, counted = self.limits.geometry, slice(0, batch.counted)
        labels, embeddings = batch.charged.labels[counted], batch.charged.embeddings[counted]
        is_live = step.cqs_before <= batch.thresholds[batch.ledger_index[counted]]
        steps = meter.steps(
            meter.is_far(step.distances, labels),
            is_live & (step.verdicts == Verdict.RECORD),
            is_live * room_left(geometry, step.cqs_before),
        )
        rising = (steps > 0).nonzero()[0]
        cells = tail_cells(geometry, embeddings[rising], labels[rising])
        by_row = dict(zip(rising.tolist(), cells, strict=True))
        return MeterRows(batch.charged.account_index[counted], steps, by_row)


class LedgerStep:
    """Decides on rows of a batch by the ledgers as they are in memory, and appends nothing."""

    def __init__(self, geometry: Geometry, index: NeighborIndex) -> None:
        self._geometry = geometry
        self._index = index

    def decide(self, batch: Batch, rows: NDArray[np.integer]) -> Assessment:
        """Decisions on `rows` of the batch in order, ascending, by its snapshot."""
        selected = batch.select(rows)
        distances = center_distances(self._geometry, selected.embeddings, selected.labels)
        is_candidate = self._candidates(batch.snapshot.numbers, selected, distances)
        return assess_candidates(self._geometry, selected, distances, is_candidate, batch.levels())

    def _candidates(
        self, numbers: Numbers, rows: LedgerRows, distances: FloatArray
    ) -> NDArray[np.bool_]:
        """Marks of the rows that are inside their region and novel to their ledger."""
        is_candidate = np.zeros(len(rows.labels), np.bool_)
        # A row outside its region is PRESERVE, novel or not.
        inside = (distances < self._geometry.sensitive_radius[rows.labels]).nonzero()[0]
        if len(inside):
            points = rows.embeddings.take(inside, axis=0)
            labels = rows.labels[inside]
            is_candidate[inside] = self._index.is_novel(
                numbers[rows.ledger_index[inside]], points, labels
            )
        return is_candidate


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
