"""Surveys: a pass over all accounts, for alarms and for suggested links.

A survey reads the store beside the engine and shares nothing with it, so that no verdict
can follow from a survey.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from queen.method.geometry import FloatArray, Geometry
from queen.method.packing import RegionProbes
from queen.owners import is_group
from queen_sensitivity.survey.accounts import ACCOUNTS_AT_A_TIME, AccountReader, AccountState
from queen_sensitivity.survey.comparison import POOL_SIZE, AccountPool, Comparison
from queen_sensitivity.survey.joint_ledger import JointLedger


@dataclass(frozen=True)
class Totals:
    """All accounts together.

    `budget_spent` is the largest share of a default budget that they would have spent as one
    account, a lower bound in `classes_cut` classes; `region_covered` the largest share of a
    sensitive region that their records cover.
    """

    accounts: int
    records: int
    over_budget: int
    budget_spent: float
    region_covered: float
    classes_cut: int


@dataclass(frozen=True)
class Survey:
    """The results of a pass over all accounts, when it ended and how long it lasted."""

    totals: Totals
    comparison: Comparison
    time_unix_nanos: int
    seconds: float


class Surveyor:
    """Makes surveys, one at a time.

    `thresholds` (C,) are those of the default budget; `clock` in seconds, `now_nanos` since 1970.
    """

    def __init__(
        self,
        reader: AccountReader,
        geometry: Geometry,
        thresholds: FloatArray,
        probes: RegionProbes,
        *,
        pool_size: int = POOL_SIZE,
        clock: Callable[[], float] = time.monotonic,
        now_nanos: Callable[[], int] = time.time_ns,
    ) -> None:
        self._reader = reader
        self._geometry = geometry
        self._thresholds = thresholds
        self._probes = probes
        self._pool_size = pool_size
        self._clock = clock
        self._now_nanos = now_nanos

    def survey(self, proceed: Callable[[], bool] = lambda: True) -> Survey | None:
        """A pass over all accounts; None if `proceed`, called now and then, returned False.

        Raises DependencyUnavailable if the store does not answer.
        """
        began = self._clock()
        tally = _Tally(JointLedger(self._geometry, self._probes), self._thresholds)
        pool = AccountPool(self._geometry, self._pool_size)
        after, has_more = "", True
        while has_more:
            page, has_more = self._reader.page(after, ACCOUNTS_AT_A_TIME)
            after = page[-1].account_id if page else after
            # A group's ledger repeats the records of its accounts.
            states = [state for state in page if not is_group(state.account_id)]
            tally.add(states)
            for state in states:
                pool.offer(state)
            if not proceed():
                return None
        comparison = pool.compare(proceed, self._clock)
        if not proceed():
            return None
        return Survey(tally.totals(), comparison, self._now_nanos(), self._clock() - began)


class _Tally:
    """Adds accounts up, page by page."""

    def __init__(self, joint: JointLedger, thresholds: FloatArray) -> None:
        self._joint = joint
        self._thresholds = thresholds
        self._accounts = self._records = self._over_budget = 0

    def add(self, states: Sequence[AccountState]) -> None:
        """Add accounts."""
        self._accounts += len(states)
        self._records += sum(state.record_count for state in states)
        self._over_budget += sum(state.is_over for state in states)
        for label in sorted({label for state in states for label in state.records}):
            pieces = [state.records[label] for state in states if label in state.records]
            self._joint.add(label, pieces)

    def totals(self) -> Totals:
        """The sums so far."""
        spent = (cqs / float(self._thresholds[label]) for label, cqs in self._joint.cqs().items())
        return Totals(
            self._accounts,
            self._records,
            self._over_budget,
            max(spent, default=0.0),
            self._joint.region_covered,
            self._joint.classes_cut,
        )
