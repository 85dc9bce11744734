"""A micro-batch in the engine: its rows, and the ledgers and owners that they reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.failures import Failure
from queen.method.crossing import OwnerThresholds
from queen.method.enforcement import Standing
from queen.method.geometry import FloatArray
from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, Owners
from queen.method.meter.off_distribution import OffDistributionMeter
from queen_sensitivity.engine.charging import Charged, Queries
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.ledgers.account import Account
from queen_sensitivity.ledgers.account_cache import Fetched
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory
from queen_sensitivity.ledgers.ledger_table import Numbers


class Snapshot(NamedTuple):
    """The L ledgers and O owners of a batch as they are in memory at a moment."""

    numbers: Numbers
    """Numbers of the ledgers, (L,)."""
    cqs: FloatArray
    """(L,)."""
    peaks: FloatArray
    """Highest marks of the owners' meters, (O,)."""
    lacking: NDArray[np.int64]
    """Further classes whose crossing would put the owners over, 0 once they are, (O,)."""

    @property
    def is_over(self) -> NDArray[np.bool_]:
        """Whether the owners are over their budgets, (O,)."""
        is_over: NDArray[np.bool_] = self.lacking == 0
        return is_over


class Batch:
    """R rows that charge O owners, on the L distinct ledgers that they reach.

    `charged` are the rows; `charges` says whose queries the first `counted` of them are, and
    `observed` those of the others. `owner` (L,) and
    `labels` (L,) name each ledger, `thresholds` T and `caps` (L,) are its own (`caps` is None if
    no owner has any), and `ledger_index` (R,) is the ledger of each row. Of the owners,
    `accounts` (O,) are in memory at the `slots` (O,).

    `snapshot` is the memory as of the last `refresh`: all decisions on rows are made on it.

    `failed` (B,) says why a query gets no verdict, and `barred` (L,) why a ledger keeps no further
    record of this batch, in numbers of `queen.failures.Failure`; 0 where there is no failure. The
    owners that are `doubted` have to be read from the store again.
    """

    def __init__(
        self,
        charged: Charged,
        owner_thresholds: OwnerThresholds,
        fetched: Fetched,
        memory: LedgerMemory,
    ) -> None:
        self.charged, self.charges, self.observed = charged
        self.counted = len(self.charges.row)
        self.first_group = int(self.charges.owner[: len(self.charges.scopes)].max(initial=-1)) + 1
        """Position among the owners from which on no account counts: groups do."""
        self.accounts, self.slots = fetched.accounts, fetched.slots
        self._memory = memory
        self._owner_thresholds = owner_thresholds
        self.owner, self.labels, self.ledger_index = _ledgers(self.charged, memory.accounts.classes)
        self.thresholds, self.caps = owner_thresholds.of_ledgers(self.owner, self.labels)
        self.size = len(self.charged)
        """Number of rows, R."""
        self.query = np.concatenate([self.charges.row, self.observed.row])
        """Query of each row, (R,)."""
        self.is_bound = self._bound_rows()
        """Whether each row is of a bound account, (R,); None where none is."""
        self.generations = np.zeros(self.size if self.charged.with_facts else 0, np.uint64)
        """Generation of the account that each row was decided on, (R,), if facts are asked for."""
        self.failed = np.zeros(len(self.charges.scopes), np.uint8)
        self.barred = np.zeros(len(self.owner), np.uint8)
        self.doubted: set[int] = set()
        self.is_store_away = False
        """Whether the store did not answer: it is not asked again for this batch."""
        for owner, failure in fetched.failures.items():
            self.fail_owner(owner, failure)
        self.snapshot = self._before = self._look()

    @property
    def may_be_idle(self) -> bool:
        """Whether a row may change nothing, since it is of a bound account, or failed."""
        return self.is_bound is not None or self.has_failed

    @property
    def has_failed(self) -> bool:
        """Whether some query failed, or some ledger is barred."""
        return bool(np.count_nonzero(self.failed) or np.count_nonzero(self.barred))

    def bar(self, ledgers: Sequence[int], failure: Failure) -> None:
        """Have ledgers keep no further record of this batch."""
        self.barred[ledgers] = np.maximum(self.barred[ledgers], np.uint8(failure))
        self.is_store_away |= failure is Failure.STORE_AWAY

    def fail(self, queries: NDArray[np.integer], failures: NDArray[np.uint8] | Failure) -> None:
        """Give queries (Q,) no verdict, for one failure or for (Q,) of them."""
        np.maximum.at(self.failed, queries, np.uint8(failures))

    def fail_owner(self, owner: int, failure: Failure) -> None:
        """Give no verdict on the queries that charge an owner."""
        ledgers = np.flatnonzero(self.owner == owner)
        self.bar(ledgers.tolist(), failure)
        self.fail(self.query[np.isin(self.ledger_index, ledgers)], failure)

    def locate(self, ledger: int) -> tuple[int, int]:
        """Owner and class of a ledger of the batch."""
        return int(self.owner[ledger]), int(self.labels[ledger])

    def select(self, rows: NDArray[np.integer]) -> LedgerRows:
        """The rows to decide on, ascending; in most calls all rows of the batch."""
        charged = self.charged
        if len(rows) == self.size:
            return LedgerRows(charged.embeddings, charged.labels, self.ledger_index)
        embeddings, labels = charged.embeddings[rows], charged.labels[rows]
        return LedgerRows(embeddings, labels, self.ledger_index[rows])

    def levels(self) -> LedgerLevels:
        """The ledgers and their owners, by the snapshot."""
        seen = self.snapshot
        return LedgerLevels(seen.cqs, self.thresholds, Owners(self.owner, seen.lacking, self.caps))

    def standing(
        self, is_off: NDArray[np.bool_], is_repeated: NDArray[np.bool_] | None = None
    ) -> Standing:
        """The state of the owners that count; `is_off` marks rows of off-distribution owners.

        `is_repeated` (B,) marks the queries that repeat a record of their account.
        """
        thresholds = self.thresholds[self.ledger_index[: self.counted]]
        return Standing(thresholds, is_off, is_repeated)

    def by_query(self, claims: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether a claim on rows that count (N,) holds for a row of each row's query, (R,)."""
        row, _, scopes = self.charges
        is_claimed: NDArray[np.bool_] = np.bincount(row, claims, len(scopes)) > 0
        rows: NDArray[np.bool_] = is_claimed[self.query]
        return rows

    def circles(self) -> NDArray[np.int64]:
        """The group of each query, or its account where it has none, (B,) in 0..O-1.

        Queries of two circles do not change each other's verdicts.
        """
        row, owner, scopes = self.charges
        circles = owner[: len(scopes)].copy()
        circles[row[len(scopes) :]] = owner[len(scopes) :]
        return circles

    def refresh(self) -> None:
        """Read the memory again after it has changed, and judge owners by their new records."""
        before, after = self.snapshot, self._look()
        is_passed = (before.cqs <= self.thresholds) & (after.cqs > self.thresholds)
        if self.caps is not None:
            is_passed |= (before.cqs <= self.caps) & (after.cqs > self.caps)
        table = self._memory.accounts
        is_changed = table.judged[self.slots] != self._owner_thresholds.policy_ids
        is_changed[self.owner[is_passed]] = True
        changed = is_changed.nonzero()[0]
        if len(changed):
            self._memory.judge(self.slots[changed], self._owner_thresholds.select(changed))
            after = self._look()
        self.snapshot = after

    def settle(self, rows: NDArray[np.integer]) -> None:
        """Note the generations that `rows` were decided on, if facts are asked for."""
        if self.charged.with_facts:
            known = np.array([account.generation for account in self.accounts], np.uint64)
            self.generations[rows] = known[self.owner[self.ledger_index[rows]]]

    def renew(self, owner: int, account: Account) -> list[int]:
        """Use another account for an erased owner; returns the ledgers to be decided again."""
        self.accounts[owner] = account
        self.slots[owner] = account.slot
        return np.flatnonzero(self.owner == owner).tolist()

    def crossings(self, meter: OffDistributionMeter | None) -> list[Crossing]:
        """The crossings of this batch: of classes, and of owners that are over or far off now."""
        if self.snapshot is self._before:
            return []
        crossings = [*self._classes_crossed(), *self._owners_over()]
        if meter is None:
            return crossings
        return crossings + self._limits_reached(meter.limits(len(self.accounts), self.first_group))

    def _bound_rows(self) -> NDArray[np.bool_] | None:
        """Rows that count of bound accounts, (R,)."""
        accounts = [policy.is_bound for policy in self.charged.accounts]
        if True not in accounts:
            return None
        rows: NDArray[np.bool_] = np.array(accounts, np.bool_)[self.charges.owner[self.query]]
        rows[self.counted :] = False
        return rows

    def _look(self) -> Snapshot:
        accounts = self._memory.accounts
        cells = self.slots[self.owner] * accounts.classes + self.labels
        numbers = accounts.numbers.take(cells).astype(np.int64)
        return Snapshot(
            numbers,
            self._memory.ledgers.cqs[numbers],
            accounts.peak[self.slots],
            accounts.lacking[self.slots],
        )

    def _classes_crossed(self) -> list[Crossing]:
        before, after = self._before.cqs, self.snapshot.cqs
        is_crossing = (before <= self.thresholds) & (after > self.thresholds)
        crossed = is_crossing.nonzero()[0].tolist()
        return [self._passed(ledger, CrossingKind.THRESHOLD, self.thresholds) for ledger in crossed]

    def _owners_over(self) -> list[Crossing]:
        is_turned = self.snapshot.is_over & ~self._before.is_over
        return [self._turned(owner) for owner in is_turned.nonzero()[0].tolist()]

    def _turned(self, owner: int) -> Crossing:
        """The crossing that put an owner over."""
        limits, memory = self._owner_thresholds.of_owner(owner), self._memory
        cqs = memory.ledgers.cqs[memory.accounts.numbers[self.slots[owner]]]
        crossed, needed = np.count_nonzero(cqs > limits.thresholds), limits.needed
        if crossed < needed and self.caps is not None:
            is_full = (self.owner == owner) & (self.snapshot.cqs > self.caps)
            for ledger in is_full.nonzero()[0].tolist():
                return self._passed(ledger, CrossingKind.CLASS_CAP, self.caps)
        name = self.accounts[owner].owner
        return Crossing(CrossingKind.BREADTH, name, None, float(crossed), float(needed))

    def _passed(self, ledger: int, kind: CrossingKind, limits: FloatArray) -> Crossing:
        owner, label = self.locate(ledger)
        level, limit = float(self.snapshot.cqs[ledger]), float(limits[ledger])
        return Crossing(kind, self.accounts[owner].owner, label, level, limit)

    def _limits_reached(self, limits: FloatArray) -> list[Crossing]:
        peaks = self.snapshot.peaks
        owners = ((self._before.peaks < limits) & (peaks >= limits)).nonzero()[0].tolist()
        kind = CrossingKind.OFF_DISTRIBUTION
        return [
            Crossing(
                kind, self.accounts[owner].owner, None, *map(float, (peaks[owner], limits[owner]))
            )
            for owner in owners
        ]


def _ledgers(
    charged: Queries, classes: int
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
    """Owner and class of each distinct ledger in order, (L,), and the ledger of each row (R,)."""
    pairs = charged.account_index.astype(np.int64, copy=False) * classes + charged.labels
    if np.count_nonzero(pairs[1:] > pairs[:-1]) == len(pairs) - 1:
        # The fast way for most batches: a row of each account, in order.
        return charged.account_index, charged.labels, np.arange(len(pairs))
    # np.unique with its inverse needs twice the time for as few.
    order = np.argsort(pairs, kind="stable")
    ordered = pairs[order]
    is_first = first_of_each(ordered)
    ledger_index = np.empty(len(pairs), np.int64)
    ledger_index[order] = np.cumsum(is_first) - 1
    return *np.divmod(ordered[is_first], classes), ledger_index


def first_of_each(ordered: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each of `ordered` (N,) differs from the value before it, (N,)."""
    is_first = np.empty(len(ordered), np.bool_)
    is_first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return is_first


def without_failed(assessment: Assessment, failed: NDArray[np.uint8]) -> Assessment:
    """The assessment without the queries that `failed` (B,): all of them is 0."""
    is_failed = failed > 0
    facts = None
    if assessment.facts is not None:
        facts = assessment.facts.copy()
        facts[is_failed] = np.zeros((), facts.dtype)
    kept = {
        name: np.where(is_failed, np.zeros((), values.dtype), values)
        for name, values in (
            ("verdicts", assessment.verdicts),
            ("distances", assessment.distances),
            ("sqs", assessment.sqs),
            ("cqs_before", assessment.cqs_before),
            ("cqs_after", assessment.cqs_after),
            ("causes", assessment.causes),
        )
    }
    return replace(assessment, **kept, facts=facts, failures=failed)


def empty_assessment(rows: int) -> Assessment:
    """Room for the decisions on `rows` rows."""
    distances, sqs, before, after = (np.zeros(rows) for _ in range(4))
    is_over = np.zeros(rows, np.bool_)
    return Assessment(np.zeros(rows, np.uint8), distances, sqs, before, after, is_over)


def fill_rows(
    into: Assessment, rows: NDArray[np.integer], step: Assessment, is_settled: NDArray[np.bool_]
) -> None:
    """Put the settled rows of a step on `rows`, (S,) each, at their places in `into`."""
    for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after", "is_over"):
        getattr(into, name)[rows[is_settled]] = getattr(step, name)[is_settled]
