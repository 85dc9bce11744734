"""The ledgers that a micro-batch reaches, and what is decided on its rows so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray
from queen.method.ledger import Assessment
from queen.method.off_distribution import OffDistributionMeter

from .account_ledger import AccountLedger, ClassLedger
from .crossings import Crossing


@dataclass(frozen=True, eq=False)
class Touched:
    """The L ledgers of a batch: `places` are (owner, class), `thresholds` T (L,).

    `tables` are the thresholds of all classes of the O owners, (O, C). Of each owner
    `is_crossed` (O,) says whether a class of it was over its threshold before the batch.
    """

    owners: list[str]

    accounts: list[AccountLedger]
    places: list[tuple[int, int]]
    ledger_index: NDArray[np.integer]
    tables: FloatArray
    thresholds: FloatArray
    is_crossed: NDArray[np.bool_] = field(init=False)
    generations: NDArray[np.uint64] = field(init=False)
    """Of the ledger that each row was decided on, (R,), as far as `settle` was told."""
    cqs_before: FloatArray = field(init=False)
    peaks_before: list[float] = field(init=False)

    def __post_init__(self) -> None:
        pairs = zip(self.accounts, self.tables, strict=True)
        crossed = np.array([account.is_crossed(table) for account, table in pairs], np.bool_)
        object.__setattr__(self, "is_crossed", crossed)
        rows = len(self.ledger_index)
        object.__setattr__(self, "generations", np.zeros(rows, np.uint64))
        object.__setattr__(self, "cqs_before", self.cqs())
        object.__setattr__(self, "peaks_before", [one.meter.peak for one in self.accounts])

    def renew(self, owner: int, account: AccountLedger) -> list[int]:
        """Take over the ledger of an owner who was erased; the ledgers to be decided again."""
        self.accounts[owner] = account
        self.is_crossed[owner] = account.is_crossed(self.tables[owner])
        return [number for number, place in enumerate(self.places) if place[0] == owner]

    def settle(self, rows: NDArray[np.integer]) -> None:
        """Note of which generation the ledgers are that `rows` were decided on."""
        known = np.array([account.generation for account in self.accounts], np.uint64)
        owners = np.array([owner for owner, _ in self.places])
        self.generations[rows] = known[owners[self.ledger_index[rows]]]

    def cqs(self) -> FloatArray:
        """Cqs of the ledgers as they are now, (L,)."""
        return np.array([0.0 if ledger is None else ledger.cqs for ledger in self.ledgers()])

    def ledgers(self) -> list[ClassLedger | None]:
        """The ledgers as they are now; None where nothing was recorded yet."""
        accounts = self.accounts
        return [accounts[owner].classes.get(label) for owner, label in self.places]

    def crossings(self, meter: OffDistributionMeter | None) -> list[Crossing]:
        """What was crossed in this batch: thresholds of classes, and the meter's limit."""
        cqs = self.cqs()
        crossed = np.flatnonzero((self.cqs_before <= self.thresholds) & (cqs > self.thresholds))
        found = []
        for number in crossed.tolist():
            owner, label = self.places[number]
            reached, threshold = float(cqs[number]), float(self.thresholds[number])
            found.append(Crossing(self.owners[owner], label, reached, threshold))
        if meter is None:
            return found
        for name, account, peak in zip(self.owners, self.accounts, self.peaks_before, strict=True):
            if peak < meter.limit <= account.meter.peak:
                found.append(Crossing(name, None, account.meter.peak, meter.limit))
        return found


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
