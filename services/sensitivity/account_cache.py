"""The accounts in memory, and how they find out that they were erased elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from queen.errors import DependencyUnavailable
from queen.method.geometry import FloatArray, Geometry
from queen.method.off_distribution import OffDistributionMeter

from .account_ledger import AccountLedger, LedgerFactory
from .ledger_store import LedgerStore

RECHECK_SECONDS = 1.0
"""How long a spent account is answered from memory before the store is asked again."""


class AccountCache:
    """The ledgers of the `size` accounts that asked last, each at a known generation.

    An account that records learns of its erasure from the compare-and-set. One that is
    spent records nothing, and would be reversed for good: the store is asked about it, at
    most once in `recheck_seconds`.
    """

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        factory: LedgerFactory,
        meter: OffDistributionMeter | None,
        size: int,
        clock: Callable[[], float],
        recheck_seconds: float,
    ) -> None:
        self._digest = geometry.digest
        self._store = store
        self._factory = factory
        self._meter = meter
        self._size = size
        self._clock = clock
        self._recheck_seconds = recheck_seconds
        self._accounts: OrderedDict[str, AccountLedger] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    def __getitem__(self, owner: str) -> AccountLedger:
        return self._accounts[owner]

    @property
    def records(self) -> int:
        """Records in memory, over all accounts."""
        return sum(
            ledger.version
            for account in self._accounts.values()
            for ledger in account.classes.values()
        )

    def take(self, owners: Sequence[str], tables: FloatArray) -> list[AccountLedger]:
        """The ledgers of O owners, distinct, whose thresholds T are `tables` (O, C)."""
        pairs = zip(owners, tables, strict=True)
        self._recheck([owner for owner, table in pairs if self._is_due(owner, table)])
        self._load([owner for owner in owners if owner not in self._accounts])
        for owner in owners:
            self._accounts.move_to_end(owner)
        return [self._accounts[owner] for owner in owners]

    def renew(self, owner: str) -> AccountLedger:
        """The ledger of an owner who was erased, as the store has it by now."""
        self.forget([owner])
        self._load([owner])
        return self._accounts[owner]

    def forget(self, owners: Sequence[str]) -> None:
        """Read these owners again before their next verdict."""
        for owner in owners:
            self._accounts.pop(owner, None)

    def trim(self) -> None:
        """Let the least recently used go."""
        while len(self._accounts) > self._size:
            self._accounts.popitem(last=False)

    def _is_due(self, owner: str, thresholds: FloatArray) -> bool:
        account = self._accounts.get(owner)
        if account is None or self._clock() < account.checked_at + self._recheck_seconds:
            return False
        is_off = self._meter is not None and account.meter.is_off(self._meter)
        return is_off or account.is_crossed(thresholds)

    def _recheck(self, owners: Sequence[str]) -> None:
        if not owners:
            return
        for owner in owners:
            self._accounts[owner].checked_at = self._clock()
        try:
            generations = self._store.generations(owners, self._digest)
        except DependencyUnavailable:
            # A verdict from memory is better than none; it is asked again in its time.
            return
        for owner, generation in zip(owners, generations, strict=True):
            if generation > self._accounts[owner].generation:
                del self._accounts[owner]

    def _load(self, owners: Sequence[str]) -> None:
        if not owners:
            return
        # Generations first: records of a later one are only read again, while records of an
        # earlier one under a later number would be believed.
        generations = self._store.generations(owners, self._digest)
        for owner, generation in zip(owners, generations, strict=True):
            account = self._factory.restore(self._store.load(owner, self._digest))
            account.generation, account.checked_at = generation, self._clock()
            self._accounts[owner] = account
