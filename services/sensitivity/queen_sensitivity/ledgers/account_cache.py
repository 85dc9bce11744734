"""The accounts in memory, and how they find out what became of them in the store."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import DependencyUnavailable
from queen.method.geometry import FloatArray, Geometry
from queen.method.off_distribution import OffDistributionMeter
from queen_sensitivity.ledger_store import Conflict, LedgerStore, Regressed, Renewed
from queen_sensitivity.ledgers.account_ledger import AccountLedger, LedgerFactory, Tables
from queen_sensitivity.ledgers.account_table import Slots
from queen_sensitivity.ledgers.repair import LedgerRepair

RECHECK_SECONDS = 1.0
"""How long a spent account is answered from memory before the store is asked again."""
_LEAVING = 8
"""Of so many accounts one is lined up to leave, so that their order is rarely looked up."""


class Taken(NamedTuple):
    """The ledgers of O owners, and their `slots` (O,) in the table."""

    accounts: list[AccountLedger]
    slots: Slots


class AccountCache:
    """The ledgers of the `size` accounts that asked last, each at a known generation.

    An account that records learns from the compare-and-set that it was erased, or that the
    store lost records of it. One that is spent records nothing: its erasure would never be
    honoured, its loss never made good. The store is asked about its spent lists, at most
    once in `recheck_seconds`, by appends of nothing. A store that lost records of one account
    has lost others': each is asked about, with all its lists, when it is next touched.
    """

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        factory: LedgerFactory,
        repair: LedgerRepair,
        meter: OffDistributionMeter | None,
        size: int,
        clock: Callable[[], float],
        recheck_seconds: float,
    ) -> None:
        self._digest = geometry.digest
        self._meter_label = geometry.num_classes
        self._limit = np.inf if meter is None else meter.limit
        self._store = store
        self._factory = factory
        self._repair = repair
        self._table = factory.accounts
        self._size = size
        self._clock = clock
        self._recheck_seconds = recheck_seconds
        self._nobody = factory.nobody()
        self._accounts: dict[str, AccountLedger] = {}
        self._uses = 0
        # The owners who asked least recently, and when they did, as far as it was looked up.
        self._leaving: deque[tuple[str, int]] = deque()
        self._aside: OrderedDict[str, AccountLedger] = OrderedDict()
        self._alarmed_at = -float("inf")

    def __len__(self) -> int:
        return len(self._accounts)

    def __getitem__(self, owner: str) -> AccountLedger:
        return self._accounts[owner]

    def take(self, owners: Sequence[str], budgets: NDArray[np.int64], tables: Tables) -> Taken:
        """The ledgers of O owners, distinct, with `budgets` (O,) whose thresholds are `tables`."""
        taken = self._look_up(owners, budgets, tables)
        due = (self._table.due[taken.slots] <= self._clock()).nonzero()[0]
        if len(due) or np.count_nonzero(taken.slots) < len(owners):
            self._recheck(self._due_lists(taken.accounts, budgets, tables, due.tolist()))
            self._load([owner for owner in owners if owner not in self._accounts])
            taken = self._look_up(owners, budgets, tables)
        self._use(taken.slots)
        return taken

    def _look_up(self, owners: Sequence[str], budgets: NDArray[np.int64], tables: Tables) -> Taken:
        accounts = list(map(self._accounts.get, owners, repeat(self._nobody)))
        slots = _slots(accounts)
        stale = (self._table.judged[slots] != budgets).nonzero()[0]
        if len(stale):
            self._factory.judge(slots[stale], budgets[stale], tables)
        return Taken(accounts, slots)

    def _use(self, slots: Slots) -> None:
        """Note that these accounts asked, in this order."""
        self._table.used[slots] = np.arange(self._uses, self._uses + len(slots))
        self._uses += len(slots)

    def renew(self, owner: str) -> AccountLedger:
        """The ledger of an owner who was erased, as the store has it by now."""
        self.forget([owner])
        self._load([owner])
        return self._accounts[owner]

    def forget(self, owners: Sequence[str]) -> None:
        """Read these owners again before their next verdict."""
        for owner in owners:
            self._discard(self._accounts, owner)
            self._discard(self._aside, owner)

    def set_aside(self, owners: Sequence[str]) -> None:
        """Read these owners again before their next verdict, since a batch of theirs failed.

        It may have failed with the server that had their last records. What was known of
        them is not believed, but kept until it is seen whether the store still has it.
        """
        for owner in owners:
            account = self._accounts.pop(owner, None)
            if account is not None:
                self._discard(self._aside, owner)
                self._aside[owner] = account

    def repair(self, owner: str, account: AccountLedger) -> None:
        """Give back what the store lost of an account, and doubt it about all others."""
        if not self._repair.repair(owner, account):
            return
        now = self._clock()
        if now >= self._alarmed_at + self._recheck_seconds:
            self._alarmed_at = now
            slots = _slots(self._accounts.values())
            self._table.doubt(slots, -np.inf)

    def trim(self) -> None:
        """Let the least recently used go."""
        for _ in range(len(self._accounts) - self._size):
            self._discard(self._accounts, self._oldest())
        while len(self._aside) > self._size:
            _, account = self._aside.popitem(last=False)
            self._factory.release(account)

    def _oldest(self) -> str:
        """The owner who asked least recently."""
        while True:
            if not self._leaving:
                self._line_up()
            owner, used = self._leaving.popleft()
            account = self._accounts.get(owner)
            # Whoever asked since then is not the oldest any longer.
            if account is not None and self._table.used[account.slot] == used:
                return owner

    def _line_up(self) -> None:
        """Have the share of the accounts leave first that asked least recently, in order."""
        owners = list(self._accounts)
        used = self._table.used[_slots(self._accounts.values())]
        order = np.argsort(used)[: len(owners) // _LEAVING + 1].tolist()
        self._leaving.extend((owners[place], int(used[place])) for place in order)

    def _discard(self, kept: dict[str, AccountLedger], owner: str) -> None:
        account = kept.pop(owner, None)
        if account is not None:
            self._factory.release(account)

    def _due_lists(
        self,
        accounts: Sequence[AccountLedger],
        budgets: NDArray[np.int64],
        tables: Tables,
        due: Sequence[int],
    ) -> dict[str, list[int]]:
        """Labels of the lists that the store is to be asked about by now, by owner."""
        return {
            accounts[place].owner: self._due_labels(accounts[place], tables[int(budgets[place])])
            for place in due
        }

    def _due_labels(self, account: AccountLedger, thresholds: FloatArray) -> list[int]:
        if self._table.is_in_doubt[account.slot]:
            return self._factory.labels_of(account)
        is_off = account.meter.peak >= self._limit
        return self._factory.crossed(account, thresholds) + [self._meter_label] * is_off

    def _recheck(self, due: Mapping[str, Sequence[int]]) -> None:
        """Ask about lists of owners in memory, all in one round trip."""
        if not due:
            return
        accounts = {owner: self._accounts[owner] for owner in due}
        slots = _slots(accounts.values())
        doubted = [one for one in accounts.values() if self._table.is_in_doubt[one.slot]]
        now = self._clock()
        self._table.checked(slots, now)
        try:
            self._ask(accounts, due)
        except DependencyUnavailable:
            # A verdict from memory is better than none; it is asked again in its time.
            still = [account for account in doubted if not account.is_released]
            self._table.doubt(_slots(still), now)

    def _ask(
        self, accounts: Mapping[str, AccountLedger], labels: Mapping[str, Sequence[int]]
    ) -> None:
        """Learn what became of lists of these accounts, and repair those that lost records."""
        questions = [
            self._factory.question(owner, account, label)
            for owner, account in accounts.items()
            for label in labels[owner]
        ]
        if not questions:
            return
        lossy = set()
        for asked, result in zip(questions, self._store.append_many(questions), strict=True):
            owner, _, label = asked.key
            if accounts[owner].is_released:
                # An earlier list of the account was told that it is void.
                continue
            if isinstance(result, Renewed):
                self._discard(self._accounts, owner)
            elif isinstance(result, Conflict):
                self._factory.extend(accounts[owner], label, result.missing_tail)
            elif isinstance(result, Regressed):
                lossy.add(owner)
        for owner in sorted(lossy):
            self.repair(owner, accounts[owner])

    def _load(self, owners: Sequence[str]) -> None:
        if not owners:
            return
        aside = {owner: self._aside[owner] for owner in owners if owner in self._aside}
        self._ask(aside, {owner: self._factory.labels_of(one) for owner, one in aside.items()})
        # Generations first: records of a later one are only read again, while records of an
        # earlier one under a later number would be believed.
        generations = self._store.generations(owners, self._digest)
        stored = [self._store.load(owner, self._digest) for owner in owners]
        accounts = self._factory.restore(owners, stored)
        slots = _slots(accounts)
        self._table.checked(slots, self._clock())
        for owner, generation, account in zip(owners, generations, accounts, strict=True):
            account.generation = generation
            self._accounts[owner] = account
            self._discard(self._aside, owner)
        self._use(slots)


def _slots(accounts: Iterable[AccountLedger]) -> Slots:
    return np.array([account.slot for account in accounts], np.int64)
