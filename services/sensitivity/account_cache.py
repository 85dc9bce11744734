"""The accounts in memory, and how they find out what became of them in the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from queen.errors import DependencyUnavailable
from queen.method.geometry import FloatArray, Geometry
from queen.method.off_distribution import OffDistributionMeter

from .account_ledger import AccountLedger, LedgerFactory
from .ledger_repair import LedgerRepair
from .ledger_store import Conflict, LedgerStore, Regressed, Renewed

RECHECK_SECONDS = 1.0
"""How long a spent account is answered from memory before the store is asked again."""


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
        self._store = store
        self._factory = factory
        self._repair = repair
        self._meter = meter
        self._size = size
        self._clock = clock
        self._recheck_seconds = recheck_seconds
        self._accounts: OrderedDict[str, AccountLedger] = OrderedDict()
        self._aside: OrderedDict[str, AccountLedger] = OrderedDict()
        self._alarmed_at = -float("inf")

    def __len__(self) -> int:
        return len(self._accounts)

    def __getitem__(self, owner: str) -> AccountLedger:
        return self._accounts[owner]

    def take(self, owners: Sequence[str], tables: Sequence[FloatArray]) -> list[AccountLedger]:
        """The ledgers of O owners, distinct, whose thresholds T (C,) are `tables`, O of them."""
        known = self._accounts
        found = list(map(known.get, owners))
        due = self._due(owners, found, tables)
        if due or None in found:
            self._recheck(due)
            self._load([owner for owner in owners if owner not in known])
            found = list(map(known.get, owners))
        for owner in owners:
            known.move_to_end(owner)
        return [account for account in found if account is not None]

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
            for one in self._accounts.values():
                one.is_in_doubt, one.checked_at = True, -float("inf")

    def trim(self) -> None:
        """Let the least recently used go."""
        for kept in (self._accounts, self._aside):
            while len(kept) > self._size:
                _, account = kept.popitem(last=False)
                self._factory.release(account)

    def _discard(self, kept: OrderedDict[str, AccountLedger], owner: str) -> None:
        account = kept.pop(owner, None)
        if account is not None:
            self._factory.release(account)

    def _due(
        self,
        owners: Sequence[str],
        accounts: Sequence[AccountLedger | None],
        tables: Sequence[FloatArray],
    ) -> dict[str, list[int]]:
        """Labels of the lists that the store is to be asked about by now, by owner."""
        now, wait = self._clock(), self._recheck_seconds
        limit = np.inf if self._meter is None else self._meter.limit
        is_crossed = self._factory.is_crossed
        # Of every account of every batch: written for speed.
        due = [
            (owner, account, thresholds)
            for owner, account, thresholds in zip(owners, accounts, tables, strict=True)
            if account is not None
            and now >= account.checked_at + wait
            and (
                account.is_in_doubt
                or account.meter.peak >= limit
                or (
                    account.is_crossed
                    if account.crossed_of is thresholds
                    else is_crossed(account, thresholds)
                )
            )
        ]
        labels = {owner: self._due_labels(account, table) for owner, account, table in due}
        return {owner: found for owner, found in labels.items() if found}

    def _due_labels(self, account: AccountLedger, thresholds: FloatArray) -> list[int]:
        if account.is_in_doubt:
            return self._factory.labels_of(account)
        is_off = self._meter is not None and account.meter.is_off(self._meter)
        return self._factory.crossed(account, thresholds) + [self._meter_label] * is_off

    def _recheck(self, due: Mapping[str, Sequence[int]]) -> None:
        """Ask about lists of owners in memory, all in one round trip."""
        if not due:
            return
        accounts = {owner: self._accounts[owner] for owner in due}
        doubted = [account for account in accounts.values() if account.is_in_doubt]
        for account in accounts.values():
            account.checked_at, account.is_in_doubt = self._clock(), False
        try:
            self._ask(accounts, due)
        except DependencyUnavailable:
            # A verdict from memory is better than none; it is asked again in its time.
            for account in doubted:
                account.is_in_doubt = True

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
        accounts = self._factory.restore([self._store.load(one, self._digest) for one in owners])
        now = self._clock()
        for owner, generation, account in zip(owners, generations, accounts, strict=True):
            account.generation, account.checked_at = generation, now
            self._accounts[owner] = account
            self._discard(self._aside, owner)
