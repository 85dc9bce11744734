"""The ledgers that a micro-batch reaches, and what is decided on its rows so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray
from queen.method.ledger import Assessment
from queen.method.off_distribution import OffDistributionMeter
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.ledgers.account_cache import Taken
from queen_sensitivity.ledgers.account_ledger import AccountLedger, LedgerFactory, Tables
from queen_sensitivity.ledgers.ledger_table import Numbers


class Touched:
    """The L ledgers of a batch of B rows: `owner` (L,) of each and its class `labels` (L,).

    `ledger_index` (B,) says which of them a row reaches, `thresholds` T (L,) are theirs. Of
    each of O `owners`, `slots` (O,) says where it is in the table of accounts, and `is_crossed`
    (O,) whether a class of it was over its threshold before the batch.
    """

    def __init__(
        self,
        queries: Queries,
        owners: Sequence[str],
        budgets: NDArray[np.int64],
        tables: Tables,
        ledgers: LedgerFactory,
        taken: Taken,
    ) -> None:
        self.owners = owners
        self.accounts, self.slots = taken
        self._ledgers = ledgers
        self._budgets = budgets
        self._tables = tables
        self._classes = ledgers.accounts.classes
        self.owner, self.labels, self.ledger_index = _ledgers(queries, self._classes)
        self.thresholds = _pick(tables, self._budgets, self.owner, self.labels)
        self.is_crossed = ledgers.accounts.is_crossed[self.slots]
        self.generations = np.zeros(len(queries), np.uint64)
        """Of the ledger that each row was decided on, (B,), as far as `settle` was told."""
        self._numbers: Numbers = np.zeros(0, np.int64)
        self._numbers_as_of = self._cqs_as_of = -1
        self._cqs_before = self.cqs()
        self._peaks_before = ledgers.accounts.peak[self.slots]
        self._as_of = (ledgers.table.writes, ledgers.accounts.peaks_changed)

    def place(self, number: int) -> tuple[int, int]:
        """Owner and class of a ledger of the batch."""
        return int(self.owner[number]), int(self.labels[number])

    def renew(self, owner: int, account: AccountLedger) -> list[int]:
        """Take over the ledger of an owner who was erased; the ledgers to be decided again."""
        self.accounts[owner] = account
        self.slots[owner] = account.slot
        at = slice(owner, owner + 1)
        self._ledgers.judge(self.slots[at], self._budgets[at], self._tables)
        self.is_crossed[at] = self._ledgers.accounts.is_crossed[self.slots[at]]
        return np.flatnonzero(self.owner == owner).tolist()

    def recorded(self, numbers: NDArray[np.integer]) -> None:
        """Note what records did to those ledgers of the batch: some may have crossed."""
        over = self._ledgers.table.cqs[self.numbers()[numbers]] > self.thresholds[numbers]
        if np.count_nonzero(over):
            self._ledgers.accounts.cross(self.slots[self.owner[numbers[over]]])

    def numbers(self) -> Numbers:
        """Numbers of the ledgers in the table as they are now, (L,)."""
        changes = self._ledgers.table.changes
        if self._numbers_as_of != changes:
            places = self.slots[self.owner] * self._classes + self.labels
            self._numbers = self._ledgers.accounts.numbers.take(places).astype(np.int64)
            self._numbers_as_of = changes
        return self._numbers

    def settle(self, rows: NDArray[np.integer]) -> None:
        """Note of which generation the ledgers are that `rows` were decided on."""
        known = np.array([account.generation for account in self.accounts], np.uint64)
        self.generations[rows] = known[self.owner[self.ledger_index[rows]]]

    def cqs(self) -> FloatArray:
        """Cqs of the ledgers as they are now, (L,); not to be written to."""
        writes = self._ledgers.table.writes
        if self._cqs_as_of != writes:
            self._cqs: FloatArray = self._ledgers.table.cqs[self.numbers()]
            self._cqs_as_of = writes
        return self._cqs

    def crossings(self, meter: OffDistributionMeter | None) -> list[Crossing]:
        """What was crossed in this batch: thresholds of classes, and the meter's limit."""
        writes, peaks_changed = self._as_of
        found = self._classes_crossed() if self._ledgers.table.writes != writes else []
        if meter is not None and self._ledgers.accounts.peaks_changed != peaks_changed:
            found += self._limits_reached(meter.limit)
        return found

    def _classes_crossed(self) -> list[Crossing]:
        cqs = self.cqs()
        crossed = ((self._cqs_before <= self.thresholds) & (cqs > self.thresholds)).nonzero()[0]
        found = []
        for number in crossed.tolist():
            owner, label = self.place(number)
            reached, threshold = float(cqs[number]), float(self.thresholds[number])
            found.append(Crossing(self.owners[owner], label, reached, threshold))
        return found

    def _limits_reached(self, limit: float) -> list[Crossing]:
        peaks = self._ledgers.accounts.peak[self.slots]
        reached = ((self._peaks_before < limit) & (peaks >= limit)).nonzero()[0].tolist()
        return [Crossing(self.owners[place], None, float(peaks[place]), limit) for place in reached]


def _ledgers(
    queries: Queries, classes: int
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
    """Owner and class of each distinct ledger in order, (L,), and the place of each row (B,)."""
    pairs = queries.account_index.astype(np.int64, copy=False) * classes + queries.labels
    if np.count_nonzero(pairs[1:] > pairs[:-1]) == len(pairs) - 1:
        # A row of each account in turn, which most batches are.
        return queries.account_index, queries.labels, np.arange(len(pairs))
    # np.unique with its inverse takes twice as long for as few.
    order = np.argsort(pairs, kind="stable")
    ordered = pairs[order]
    is_first = np.empty(len(pairs), np.bool_)
    is_first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    places = np.empty(len(pairs), np.int64)
    places[order] = np.cumsum(is_first) - 1
    return *np.divmod(ordered[is_first], classes), places


def _pick(
    tables: Tables,
    budgets: NDArray[np.int64],
    owner: NDArray[np.integer],
    labels: NDArray[np.integer],
) -> FloatArray:
    """Thresholds (L,) of ledgers from the `tables` (C,) of the `budgets` (O,) of their owners."""
    picked: FloatArray
    if len(tables) == 1:
        (table,) = tables.values()
        picked = table[labels]
        return picked
    distinct = np.array(sorted(tables))
    which = np.searchsorted(distinct, budgets)
    picked = np.stack([tables[budget] for budget in sorted(tables)])[which[owner], labels]
    return picked


def empty_assessment(rows: int) -> Assessment:
    """Room for the decisions on `rows` rows."""
    distances, sqs, before, after = (np.zeros(rows) for _ in range(4))
    return Assessment(np.zeros(rows, np.uint8), distances, sqs, before, after)


def fill_rows(
    into: Assessment, rows: NDArray[np.integer], step: Assessment, take: NDArray[np.bool_]
) -> None:
    """Put the rows that `take` picks of a step at the places `rows`."""
    for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after"):
        getattr(into, name)[rows] = getattr(step, name)[take]
