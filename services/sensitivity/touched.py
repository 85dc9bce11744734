"""The ledgers that a micro-batch reaches, and what is decided on its rows so far."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray
from queen.method.ledger import Assessment
from queen.method.off_distribution import OffDistributionMeter

from .account_ledger import AccountLedger, LedgerFactory
from .crossings import Crossing
from .ledger_table import NO_LEDGER, Numbers
from .policies import Queries


class Touched:
    """The L ledgers of a batch of B rows: `owner` (L,) of each and its class `labels` (L,).

    `ledger_index` (B,) says which of them a row reaches, `thresholds` T (L,) are theirs. Of
    each of O `owners`, `is_crossed` (O,) says whether a class of it was over its threshold
    before the batch.
    """

    def __init__(
        self,
        queries: Queries,
        ledgers: LedgerFactory,
        accounts: list[AccountLedger],
        tables: Mapping[int, FloatArray],
    ) -> None:
        self._ledgers = ledgers
        self._tables = [tables[policy.budget] for policy in queries.accounts]
        self._numbers: Numbers = np.zeros(0, np.int64)
        self._numbers_as_of = -1
        classes = len(self._tables[0])
        pairs = queries.account_index.astype(np.int64) * classes + queries.labels
        distinct, self.ledger_index = _distinct(pairs)
        self.owner, self.labels = np.divmod(distinct, classes)
        self.owners = [policy.account_id for policy in queries.accounts]
        self.accounts = accounts
        self.thresholds = _pick(queries, tables, self.owner, self.labels)
        judge = ledgers.is_crossed
        judged = [
            account.is_crossed if account.crossed_of is table else judge(account, table)
            for account, table in zip(accounts, self._tables, strict=True)
        ]
        self.is_crossed = np.array(judged, np.bool_)
        self.generations = np.zeros(len(queries), np.uint64)
        """Of the ledger that each row was decided on, (B,), as far as `settle` was told."""
        self._cqs_before = self.cqs()
        self._peaks_before = [account.meter.peak for account in accounts]

    def place(self, number: int) -> tuple[int, int]:
        """Owner and class of a ledger of the batch."""
        return int(self.owner[number]), int(self.labels[number])

    def renew(self, owner: int, account: AccountLedger) -> list[int]:
        """Take over the ledger of an owner who was erased; the ledgers to be decided again."""
        self.accounts[owner] = account
        self.is_crossed[owner] = self._ledgers.is_crossed(account, self._tables[owner])
        return np.flatnonzero(self.owner == owner).tolist()

    def recorded(self, numbers: NDArray[np.integer]) -> None:
        """Note what records did to those ledgers of the batch: some may have crossed."""
        ledgers = self.numbers()[numbers]
        over = self._ledgers.table.cqs[ledgers] > self.thresholds[numbers]
        for owner in self.owner[numbers[over]].tolist():
            self.accounts[owner].is_crossed = True

    def numbers(self) -> Numbers:
        """Numbers of the ledgers in the table as they are now, (L,)."""
        table = self._ledgers.table
        if self._numbers_as_of != table.changes:
            accounts = self.accounts
            pairs = zip(self.owner.tolist(), self.labels.tolist(), strict=True)
            found = [accounts[owner].numbers.get(label, NO_LEDGER) for owner, label in pairs]
            self._numbers, self._numbers_as_of = np.array(found, np.int64), table.changes
        return self._numbers

    def settle(self, rows: NDArray[np.integer]) -> None:
        """Note of which generation the ledgers are that `rows` were decided on."""
        known = np.array([account.generation for account in self.accounts], np.uint64)
        self.generations[rows] = known[self.owner[self.ledger_index[rows]]]

    def cqs(self) -> FloatArray:
        """Cqs of the ledgers as they are now, (L,)."""
        cqs: FloatArray = self._ledgers.table.cqs[self.numbers()]
        return cqs

    def crossings(self, meter: OffDistributionMeter | None) -> list[Crossing]:
        """What was crossed in this batch: thresholds of classes, and the meter's limit."""
        cqs = self.cqs()
        crossed = ((self._cqs_before <= self.thresholds) & (cqs > self.thresholds)).nonzero()[0]
        found = []
        for number in crossed.tolist():
            owner, label = self.place(number)
            reached, threshold = float(cqs[number]), float(self.thresholds[number])
            found.append(Crossing(self.owners[owner], label, reached, threshold))
        if meter is None:
            return found
        peaks = [account.meter.peak for account in self.accounts]
        if peaks != self._peaks_before:
            for name, before, peak in zip(self.owners, self._peaks_before, peaks, strict=True):
                if before < meter.limit <= peak:
                    found.append(Crossing(name, None, peak, meter.limit))
        return found


def _distinct(
    pairs: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct of `pairs` (B,) in order (L,), and the place of each row among them (B,).

    np.unique with its inverse takes twice as long for as few.
    """
    order = np.argsort(pairs, kind="stable")
    ordered = pairs[order]
    is_first = np.empty(len(pairs), np.bool_)
    is_first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    places = np.empty(len(pairs), np.int64)
    places[order] = np.cumsum(is_first) - 1
    return ordered[is_first], places


def _pick(
    queries: Queries,
    tables: Mapping[int, FloatArray],
    owner: NDArray[np.integer],
    labels: NDArray[np.integer],
) -> FloatArray:
    """Thresholds (L,) of ledgers from the `tables` (C,) of their owners' budgets."""
    picked: FloatArray
    if len(tables) == 1:
        (table,) = tables.values()
        picked = table[labels]
        return picked
    place = {budget: number for number, budget in enumerate(tables)}
    which = np.array([place[policy.budget] for policy in queries.accounts])
    picked = np.stack(list(tables.values()))[which[owner], labels]
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
