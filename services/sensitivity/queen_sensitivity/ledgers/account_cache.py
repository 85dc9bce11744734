"""The accounts in memory, and how they learn of changes to their lists in the store."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from queen.errors import DependencyUnavailable, LedgerCorrupt
from queen.failures import Failure
from queen.method.crossing import OwnerThresholds
from queen.method.geometry import FloatArray
from queen.serving.logging import account_hash, logger
from queen_sensitivity.ledger_store import Conflict, Damaged, LedgerStore, Regressed, Renewed
from queen_sensitivity.ledgers.account import Account, absent_account, restore_accounts
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory, Slots, UnwrittenRecords
from queen_sensitivity.ledgers.repair import LedgerRepair

_LEAVING = 8
"""An eighth of the accounts is lined up to leave at a time: to find their order is slow."""


@dataclass(frozen=True)
class Recheck:
    """When the store is asked again about accounts that are answered from memory."""

    seconds: float = 1.0
    """Longest time that an account over its budget is answered from memory before the store is
    asked again."""
    clock: Callable[[], float] = time.monotonic


class Fetched(NamedTuple):
    """The accounts of O owners, and their `slots` (O,) in the table of accounts.

    Those of owners with `failures`, by their index, could not be read: their account is absent.
    """

    accounts: list[Account]
    slots: Slots
    failures: Mapping[int, Failure] = MappingProxyType({})


class AccountCache:
    """The `size` accounts that asked last, each at a known generation of the store.

    An account that records learns from the compare-and-set that it was erased, or that the
    store lost records of it. An account over its budget records nothing in its crossed classes: its
    erasure would never be noticed, nor its lost records given back. As often as `recheck` says, the
    store is asked about its crossed lists by empty appends. A store that lost records of an account
    may have lost records of others: it is asked about all lists of every other account when that
    account is next fetched.

    An account with `unwritten` records does not leave memory, and the store is not asked about it.
    """

    def __init__(
        self,
        memory: LedgerMemory,
        store: LedgerStore,
        repair: LedgerRepair,
        *,
        size: int,
        limit: float,
        recheck: Recheck,
        unwritten: UnwrittenRecords,
    ) -> None:
        self._digest = memory.digest
        self._meter_label = memory.meter_label
        self._limit = limit
        self._memory = memory
        self._store = store
        self._repair = repair
        self._table = memory.accounts
        self._size = size
        self._clock = recheck.clock
        self._recheck_seconds = recheck.seconds
        self._absent = absent_account(memory)
        self._accounts: dict[str, Account] = {}
        self._unwritten = unwritten
        self._uses = 0
        # The owners who asked least recently, with the time, as far as their order was looked up.
        self._leaving: deque[tuple[str, int]] = deque()
        self._aside: OrderedDict[str, Account] = OrderedDict()
        self._alarmed_at = -float("inf")
        # Owners whose ledger was damaged when it was last read, as an ordered set.
        self._damaged: dict[str, None] = {}
        self._log = logger("ledgers")

    def __len__(self) -> int:
        return len(self._accounts)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    @property
    def aside(self) -> list[str]:
        """Owners whose accounts are kept aside, those of the earliest failure first."""
        return list(self._aside)

    def get(self, owner: str) -> Account | None:
        """The account of an owner, if it is in memory."""
        return self._accounts.get(owner)

    def fetch(self, owners: Sequence[str], thresholds: OwnerThresholds) -> Fetched:
        """The accounts of O owners, distinct, judged by their thresholds; loaded if absent."""
        fetched = self._look_up(owners, thresholds)
        due = (self._table.due[fetched.slots] <= self._clock()).nonzero()[0]
        if len(due) or np.count_nonzero(fetched.slots) < len(owners):
            due_lists = self._due_lists(fetched.accounts, thresholds, due.tolist())
            is_away = not self._recheck(due_lists)
            absent = [owner for owner in owners if owner not in self._accounts]
            failed = dict.fromkeys(absent, Failure.STORE_AWAY) if is_away else self._load(absent)
            fetched = self._look_up(owners, thresholds)
            if failed:
                index = {owner: position for position, owner in enumerate(owners)}
                failures = {index[owner]: failure for owner, failure in failed.items()}
                fetched = fetched._replace(failures=failures)
        self._use(fetched.slots)
        return fetched

    def _look_up(self, owners: Sequence[str], thresholds: OwnerThresholds) -> Fetched:
        accounts = list(map(self._accounts.get, owners, repeat(self._absent)))
        slots = _slots(accounts)
        stale = (self._table.judged[slots] != thresholds.policy_ids).nonzero()[0]
        if len(stale):
            self._memory.judge(slots[stale], thresholds.select(stale))
        return Fetched(accounts, slots)

    def _use(self, slots: Slots) -> None:
        """Note that these accounts asked, in this order."""
        self._table.used[slots] = np.arange(self._uses, self._uses + len(slots))
        self._uses += len(slots)

    def renew(self, owner: str) -> tuple[Account, Failure | None]:
        """The account of an erased owner, loaded again, or the absent account and the failure."""
        self.forget([owner])
        failures = self._load([owner])
        return self._accounts.get(owner, self._absent), failures.get(owner)

    def forget(self, owners: Sequence[str]) -> None:
        """Read these owners again before their next verdict."""
        for owner in owners:
            _discard(self._accounts, owner)
            _discard(self._aside, owner)
            self._unwritten.release(owner)

    def set_aside(self, owners: Sequence[str]) -> None:
        """Read these owners again before their next verdict, since a batch of theirs failed.

        The batch may have failed with the server that had their last records. Their memory is not
        used for verdicts, but kept until it is known whether the store still has these records.
        """
        for owner in owners:
            # Nothing was sent of an account with unwritten records, so nothing is unknown of it.
            account = None if owner in self._unwritten else self._accounts.pop(owner, None)
            if account is not None:
                _discard(self._aside, owner)
                self._aside[owner] = account

    def repair(self, account: Account) -> None:
        """Give back the records that the store lost of an account, and doubt all others."""
        if not self._repair.repair(account):
            return
        now = self._clock()
        if now >= self._alarmed_at + self._recheck_seconds:
            self._alarmed_at = now
            slots = _slots(self._accounts.values())
            self._table.doubt(slots, -np.inf)

    def write_back(self) -> None:
        """Give the store the records that it did not take; stops at the first that it refuses.

        Raises DependencyUnavailable if the store does not answer.
        """
        for owner in self._unwritten:
            account = self._accounts.get(owner)
            try:
                if account is not None and self._repair.is_erased(account):
                    self.forget([owner])
                elif account is not None and not self._repair.write_back(account):
                    return
                self._unwritten.release(owner)
            except LedgerCorrupt as error:
                # Another replica met the damage, or made it: what memory has cannot be added to it.
                self.forget([owner])
                self._note_damage(owner, error)

    def trim(self) -> None:
        """Let the least recently used accounts leave memory."""
        for _ in range(len(self._accounts) - len(self._unwritten) - self._size):
            _discard(self._accounts, self._oldest())
        while len(self._aside) > self._size:
            _, account = self._aside.popitem(last=False)
            account.release()

    def _oldest(self) -> str:
        """The owner that asked least recently."""
        while True:
            if not self._leaving:
                self._line_up()
            owner, used = self._leaving.popleft()
            account = self._accounts.get(owner)
            # An account that asked since then is not the oldest any longer.
            is_oldest = account is not None and self._table.used[account.slot] == used
            if is_oldest and owner not in self._unwritten:
                return owner

    def _line_up(self) -> None:
        """Line up the share of the accounts that asked least recently, the oldest first."""
        owners = [owner for owner in self._accounts if owner not in self._unwritten]
        used = self._table.used[_slots(self._accounts[owner] for owner in owners)]
        order = np.argsort(used)[: len(owners) // _LEAVING + 1].tolist()
        self._leaving.extend((owners[index], int(used[index])) for index in order)

    def _due_lists(
        self, accounts: Sequence[Account], thresholds: OwnerThresholds, due: Sequence[int]
    ) -> dict[str, list[int]]:
        """Labels of the lists that are due to be compared with the store, by owner."""
        return {
            accounts[index].owner: self._due_labels(
                accounts[index], thresholds.of_owner(index).thresholds
            )
            for index in due
            if accounts[index].owner not in self._unwritten
        }

    def _due_labels(self, account: Account, thresholds: FloatArray) -> list[int]:
        if self._table.is_in_doubt[account.slot]:
            return account.labels
        is_off = account.meter.peak >= self._limit
        return account.crossed(thresholds) + [self._meter_label] * is_off

    def _recheck(self, due: Mapping[str, Sequence[int]]) -> bool:
        """Compare the due lists with the store, all in one round trip; whether it answered."""
        if not due:
            return True
        accounts = [self._accounts[owner] for owner in due]
        doubted = [account for account in accounts if self._table.is_in_doubt[account.slot]]
        now = self._clock()
        self._table.checked(_slots(accounts), now)
        try:
            self._ask(accounts, due)
        except (DependencyUnavailable, LedgerCorrupt) as error:
            # A verdict from memory is better than none; the store is asked again when it is next
            # due.
            still = [account for account in doubted if not account.is_released]
            self._table.doubt(_slots(still), now)
            return isinstance(error, LedgerCorrupt)
        return True

    def _ask(self, accounts: Sequence[Account], labels: Mapping[str, Sequence[int]]) -> None:
        """Compare lists of these accounts with the store, and repair those that lost records."""
        asked = [(account, label) for account in accounts for label in labels[account.owner]]
        if not asked:
            return
        lossy: dict[str, Account] = {}
        results = self._store.append_many([account.question(label) for account, label in asked])
        for (account, label), result in zip(asked, results, strict=True):
            if account.is_released:
                # The answer for an earlier list of the account was that the account is void.
                continue
            if isinstance(result, Renewed | Damaged):
                _discard(self._accounts, account.owner)
            elif isinstance(result, Conflict):
                with self._voiding(account):
                    account.extend(label, result.missing_tail)
            elif isinstance(result, Regressed):
                lossy[account.owner] = account
        for owner in sorted(lossy):
            with self._voiding(lossy[owner]):
                self.repair(lossy[owner])

    @contextmanager
    def _voiding(self, account: Account) -> Iterator[None]:
        """Have an account read again if its ledger in the store proves to be damaged."""
        try:
            yield
        except LedgerCorrupt:
            _discard(self._accounts, account.owner)

    def _load(self, owners: Sequence[str]) -> dict[str, Failure]:
        """Load accounts that are absent; returns why those are missing that could not be read."""
        if not owners:
            return {}
        try:
            self._load_all(owners)
        except DependencyUnavailable:
            return dict.fromkeys(owners, Failure.STORE_AWAY)
        except LedgerCorrupt as error:
            if len(owners) == 1:
                self._note_damage(owners[0], error)
                return {owners[0]: Failure.LEDGER_DAMAGED}
        else:
            return {}
        failures: dict[str, Failure] = {}
        for position, owner in enumerate(owners):
            failures |= self._load([owner])
            if failures.get(owner) is Failure.STORE_AWAY:
                # The others would wait for the store as long again, each of them.
                return failures | dict.fromkeys(owners[position:], Failure.STORE_AWAY)
        return failures

    def _load_all(self, owners: Sequence[str]) -> None:
        """Load accounts, or none of them: LedgerCorrupt if the ledger of one is damaged."""
        aside = [self._aside[owner] for owner in owners if owner in self._aside]
        self._ask(aside, {account.owner: account.labels for account in aside})
        # Generations are read first: records of a later generation are only read again, while
        # records of an earlier generation under a later number would be believed.
        generations = self._store.generations(owners, self._digest)
        stored = [self._store.load(owner, self._digest) for owner in owners]
        accounts = restore_accounts(self._memory, owners, stored)
        slots = _slots(accounts)
        self._table.checked(slots, self._clock())
        for generation, account in zip(generations, accounts, strict=True):
            account.generation = generation
            self._accounts[account.owner] = account
            _discard(self._aside, account.owner)
            self._damaged.pop(account.owner, None)
        self._use(slots)

    def _note_damage(self, owner: str, error: LedgerCorrupt) -> None:
        """Log that the ledger of an owner is damaged, when that is first found."""
        if owner not in self._damaged:
            self._log.error(
                "a damaged ledger: requests that charge it are refused",
                account_hash=account_hash(owner),
                problem=str(error),
            )
        self._damaged[owner] = None
        if len(self._damaged) > self._size:
            self._damaged.pop(next(iter(self._damaged)))


def _discard(kept: dict[str, Account], owner: str) -> None:
    account = kept.pop(owner, None)
    if account is not None:
        account.release()


def _slots(accounts: Iterable[Account]) -> Slots:
    return np.array([account.slot for account in accounts], np.int64)
