"""Accounts as an operator sees them, read straight from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from queen.errors import AccountNotFound
from queen.method.crossing import UNSTATED, CrossingPolicy, PolicyThresholds, Thresholds
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.sensitivity import record_weights
from queen.owners import OBSERVED_PREFIX, is_group, is_observed
from queen_sensitivity.ledger_store import LedgerStore, Records

ACCOUNTS_AT_A_TIME = 64
"""Accounts that a pass over all of them reads in one go."""


_BEHIND_OBSERVED = OBSERVED_PREFIX + "\U0010ffff"


def list_owners(store: LedgerStore, geometry_digest: str, after: str, limit: int) -> list[str]:
    """The first `limit` accounts and groups above `after`; observed owners are left out."""
    owners: list[str] = []
    while len(owners) < limit:
        page = store.list_accounts(geometry_digest, after, limit)
        owners += [owner for owner in page if not is_observed(owner)]
        if len(page) < limit:
            break
        # All observed owners lie side by side: one step leaves them behind.
        after = max(page[-1], _BEHIND_OBSERVED) if is_observed(page[-1]) else page[-1]
    return owners[:limit]


@dataclass(frozen=True, eq=False)
class AccountState:
    """The records of one account by class, its cqs by class, and its policy with its `limits`.

    `off_distribution` is the highest mark of its off-distribution meter over the limit; at
    1 the account is off-distribution for good.
    """

    account_id: str
    records: Mapping[int, Records]
    cqs: Mapping[int, float]
    limits: PolicyThresholds
    off_distribution: float
    policy: CrossingPolicy

    @property
    def record_count(self) -> int:
        """Records over all classes."""
        return sum(len(records) for records in self.records.values())

    @property
    def crossed(self) -> list[int]:
        """Crossed classes, under the thresholds T."""
        thresholds = self.limits.thresholds
        return [label for label, cqs in self.cqs.items() if cqs > thresholds[label]]

    @property
    def is_over(self) -> bool:
        """Whether the account is over its budget, under its policy."""
        cqs = np.zeros((1, len(self.limits.thresholds)))
        for label, level in self.cqs.items():
            cqs[0, label] = level
        return not self.limits.lacking(cqs)[0]

    @property
    def budget_spent(self) -> float:
        """Largest share of the budget that is spent in any class."""
        shares = (cqs / float(self.limits.thresholds[label]) for label, cqs in self.cqs.items())
        return max(shares, default=0.0)


class AccountReader:
    """Reads accounts; safe beside the dispatcher thread, since both share only the store.

    `thresholds` must not be the engine's: a policy other than the default adds a table to them,
    so that only one thread may ask for such policies.
    """

    def __init__(
        self,
        geometry: Geometry,
        thresholds: Thresholds,
        store: LedgerStore,
        meter: OffDistributionMeter,
    ) -> None:
        self._geometry = geometry
        self._meter = meter
        self._thresholds = thresholds
        self._store = store

    def page(
        self,
        after: str,
        size: int,
        policies: Mapping[str, CrossingPolicy] = MappingProxyType({}),
    ) -> tuple[list[AccountState], bool]:
        """The first `size` accounts above the id `after`, and whether there are more.

        Each is judged by its policy in `policies`, or the default. Raises InvalidQuery for a
        policy above the packing limit.
        """
        account_ids = list_owners(self._store, self._geometry.digest, after, size + 1)
        states = [
            self._read(account_id, policies.get(account_id, UNSTATED))
            for account_id in account_ids[:size]
        ]
        return states, len(account_ids) > size

    def get(self, account_id: str, policy: CrossingPolicy = UNSTATED) -> AccountState:
        """An account, judged by a policy.

        Raises AccountNotFound for an account without records, and InvalidQuery for a policy above
        the packing limit.
        """
        state = self._read(account_id, policy)
        if not state.records and not state.off_distribution:
            raise AccountNotFound(
                "expected an account with records under this bundle, got one without",
                field="account_id",
            )
        return state

    def _read(self, account_id: str, policy: CrossingPolicy) -> AccountState:
        limits = self._thresholds.of_policy(policy)
        stored = dict(self._store.load(account_id, self._geometry.digest))
        marks = stored.pop(self._geometry.num_classes, None)
        level = 0.0 if marks is None else float(marks[:, 0].max(initial=0.0))
        cqs = {label: self._cqs(label, records) for label, records in stored.items()}
        meter = self._meter.of_groups if is_group(account_id) else self._meter
        share = level / meter.limit
        in_force = self._thresholds.in_force(policy)
        return AccountState(account_id, stored, cqs, limits, share, in_force)

    def _cqs(self, label: int, records: Records) -> float:
        weights = record_weights(self._geometry, records, np.full(len(records), label))
        # A running sum, as the ledgers keep it: the same bits.
        return float(np.add.accumulate(weights)[-1])
