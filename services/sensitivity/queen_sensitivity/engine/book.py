"""The engine: micro-batches against the ledgers of many accounts (no gRPC here).

The store is the truth, and the memory is a cache of the store at a known generation and version.
Only a batch that records something needs the store: within a generation a verdict on a stale ledger
can only be too mild, never too harsh, and a record is made under the store's compare-and-set alone.
(Under `Scope.REPEATED` a query may repeat a record that is not known yet: it is refused then.)
A query that cannot be decided, or not be recorded, fails alone.
The compare-and-set also tells when a generation has ended; for accounts that record nothing, the
cache asks the store now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import DependencyUnavailable, LedgerConflict
from queen.failures import Failure
from queen.method.crossing import CrossingPolicy, Thresholds
from queen.method.enforcement import Standing, enforce
from queen.method.facts import POLICIES, FactArray, gather_facts, state_observed
from queen.method.geometry import Geometry
from queen.method.ledger import Assessment, Verdict
from queen.method.meter.off_distribution import (
    AccountMeter,
    OffDistributionMeter,
    tail_cells,
    walk_owners,
)
from queen.method.sensitivity import Charge
from queen_sensitivity.engine.batch import (
    Batch,
    Snapshot,
    empty_assessment,
    fill_rows,
    without_failed,
)
from queen_sensitivity.engine.charging import (
    Charged,
    Queries,
    charge_owners,
    exempt_rows,
    spare_exempt,
)
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS, Recorder
from queen_sensitivity.engine.refusal import Claims, IdleRule
from queen_sensitivity.engine.secrets import keep_secrets
from queen_sensitivity.engine.step import LedgerStep, meter_rows
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
        idle_rule: IdleRule,
        recorder: Recorder,
        announce: Callable[[Sequence[Crossing]], None],
    ) -> None:
        self.limits = limits
        self.memory = memory
        self.cache = cache
        self._step = step
        self._idle_rule = idle_rule
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
        """Read an owner from the store again before the next verdict.

        Its records that the store has not taken are given to it now, or are gone.
        """
        with suppress(DependencyUnavailable):
            self.cache.write_back()
        self.cache.forget([owner])

    def write_back(self) -> None:
        """Give the store the records that it did not take; DependencyUnavailable without answer."""
        self.cache.write_back()

    def assess(self, queries: Queries) -> Assessment:
        """Verdicts on `queries`; their records are in the store, or held, when this returns.

        A query fails, and is told so in the `failures`, if its owner's ledger cannot be read, or if
        it would have to be recorded and the store keeps no record. The others keep their verdicts.

        Raises InvalidQuery for a budget or a class cap above the packing limit,
        DependencyUnavailable if all queries fail since the store does not answer, and
        LedgerConflict if another writer kept winning.
        """
        charged = charge_owners(queries)
        try:
            batch = self._open(charged)
            step, is_idle = self._record(batch)
            is_off = self._walk_meters(batch, step, is_idle)
            is_repeated = self._idle_rule.repeated(batch, is_idle) if is_idle.any() else None
            crossings = batch.crossings(self.limits.meter)
            assessment = self._enforce(queries, batch, step, batch.standing(is_off, is_repeated))
            # It is unknown which records the store has of these: read them again.
            self.cache.set_aside([batch.accounts[owner].owner for owner in batch.doubted])
        except BaseException:
            self.cache.set_aside([policy.account_id for policy in charged.rows.accounts])
            raise
        finally:
            self.cache.trim()
        if crossings:
            self._announce(crossings)
        if (batch.failed == Failure.STORE_AWAY).all():
            raise DependencyUnavailable("the ledger store does not answer")
        return assessment

    def _enforce(
        self, queries: Queries, batch: Batch, step: Assessment, standing: Standing
    ) -> Assessment:
        """The verdicts on the queries, with the facts if they are asked for."""
        counted = step.first(batch.counted)
        enforced = spare_exempt(enforce(counted, batch.charges, standing), queries)
        verdicts = np.where(batch.failed, np.uint8(0), enforced.verdicts)
        secrets = keep_secrets(self._recorder, batch, queries, verdicts, counted.is_over)
        enforced = replace(enforced, secrets=secrets)
        if queries.with_facts:
            enforced = replace(enforced, facts=self._facts(queries, batch, step, standing))
        return without_failed(enforced, batch.failed) if batch.failed.any() else enforced

    def _facts(
        self, queries: Queries, batch: Batch, step: Assessment, standing: Standing
    ) -> FactArray:
        """The numbers that the verdicts follow from, (B,)."""
        counted = step.first(batch.counted)
        in_force = self.limits.thresholds.in_force
        owners = batch.charged.accounts[: int(batch.charges.owner.max()) + 1]
        policies = [in_force(policy.crossing) for policy in owners]
        facts = gather_facts(
            *(counted, batch.charges, standing),
            batch.generations[: batch.counted],
            np.array(policies, POLICIES)[batch.charges.owner],
            exempt_rows(queries),
        )
        facts["anywhere"] = self.limits.charge is Charge.ANYWHERE
        is_far = self._far_observed(batch, step)
        state_observed(facts, batch.observed, step, batch.generations, is_far)
        return facts

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

    def _record(self, batch: Batch) -> tuple[Assessment, Claims]:
        """The ledger step, once its records are in the store, and which rows are idle, (R,)."""
        rows, decided = np.arange(batch.size), None
        is_idle = np.zeros(batch.size, np.bool_)
        for _ in range(APPEND_ATTEMPTS):
            before = batch.snapshot
            if batch.may_be_idle:
                step, is_idle[rows] = self._idle_rule.decide(batch, rows)
            else:
                step = self._step.decide(batch, rows)
            lost = self._recorder.record(batch, rows, step)
            if decided is None:
                if not lost:
                    batch.settle(rows)
                    return step, is_idle
                decided = empty_assessment(batch.size)
            is_lost = _lost_rows(batch, rows, (step, is_idle[rows]), lost, before)
            fill_rows(decided, rows, step, ~is_lost)
            batch.settle(rows[~is_lost])
            rows = rows[is_lost]
            if not len(rows):
                return decided, is_idle
        raise LedgerConflict(
            f"another writer was first {APPEND_ATTEMPTS} times in a row on the same ledger"
        )

    def _walk_meters(self, batch: Batch, step: Assessment, is_idle: Claims) -> Claims:
        """Whether the owner of each row that counts was off-distribution before it, (N,).

        New marks are kept.
        """
        meter, counted = self.limits.meter, batch.counted
        if meter is None:
            return np.zeros(counted, np.bool_)
        table, slots, owners = self.memory.accounts, batch.slots, batch.charges.owner
        geometry, first = self.limits.geometry, step.first(counted)
        moved = meter_rows(geometry, meter, batch, is_idle[:counted], first)
        levels, before = table.level[slots], dict[int, AccountMeter]()

        def meter_of(owner: int) -> AccountMeter:
            before[owner] = batch.accounts[owner].meter.copy()
            return batch.accounts[owner].meter

        walks = walk_owners(meter, moved, levels, table.peak[slots], meter_of)
        table.level[slots] = walks.levels
        for owner, mark in walks.marks:
            failure = self._recorder.keep_mark(batch, owner, mark)
            if failure:
                # No answer to what would have to be remembered, and cannot be; it did not happen.
                batch.accounts[owner].meter = before[owner]
                table.level[batch.slots[owner]] = levels[owner]
                is_rising = (owners == owner) & (moved.steps > 0)
                batch.fail(batch.query[:counted][is_rising], failure)
        return walks.is_off


def _lost_rows(
    batch: Batch,
    rows: NDArray[np.integer],
    decided: tuple[Assessment, Claims],
    lost: Sequence[int],
    before: Snapshot,
) -> Claims:
    """Marks of the `rows` (S,) to be decided again, since the ledgers `lost` a race.

    They are the rows of these ledgers. And an owner whose records did not get into the store may
    not be over after all: where a claim that they put it over has reversed a row, that row and what
    follows it in its ledger, none of which was recorded; where it has made a query idle, its rows.
    A row that stands falls back to the claim of the snapshot `before` the step, which can only be
    too mild.
    """
    step, is_idle = decided
    ledgers = batch.ledger_index[rows]
    is_lost = np.isin(ledgers, lost)
    owners = batch.owner[ledgers]
    is_unsure = step.is_over & ~before.is_over[owners] & np.isin(owners, batch.owner[lost])
    harsh = (is_unsure & (step.verdicts == Verdict.REVERSE)).nonzero()[0]
    first = np.full(len(batch.owner), len(rows))
    np.minimum.at(first, ledgers[harsh], harsh)
    is_lost |= is_unsure & (np.arange(len(rows)) >= first[ledgers])
    query = batch.query[rows]
    is_lost |= is_idle & np.isin(query, query[is_unsure & is_idle])
    step.is_over[is_unsure & ~is_lost] = False
    return is_lost
