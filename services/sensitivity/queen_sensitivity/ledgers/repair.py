"""Giving a store back what it lost: after a failover to a replica that lags, or a restore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from queen.method.geometry import Geometry
from queen.method.packing import novel_rows
from queen.serving.logging import account_hash, logger
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    LedgerKey,
    LedgerStore,
    Records,
    packed_end,
)
from queen_sensitivity.ledgers.account_ledger import AccountLedger, LedgerFactory

REPAIR_ATTEMPTS = 4


@dataclass(frozen=True, eq=False)
class _Loss:
    """A list that is no longer what was known of it.

    Behind its records `found` (F, E) belong those that it `lost` (R, E). If others were
    appended meanwhile, `is_other`, memory has to follow.
    """

    label: int
    found: Records
    lost: Records
    is_other: bool


class LedgerRepair:
    """Appends what is known of an account and no longer in the store.

    Every append is a compare-and-set in the generation of what is known, so an erasure stays
    one. A list that others appended to since the loss keeps their records, and gets the lost
    ones that these do not cover: all records of a class stay farther than r apart.
    """

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        factory: LedgerFactory,
        count_append: Callable[[str], None],
        count_repaired: Callable[[int], None],
    ) -> None:
        self._geometry = geometry
        self._store = store
        self._factory = factory
        self._count_append = count_append
        self._count_repaired = count_repaired
        self._log = logger("ledgers")

    def repair(self, owner: str, account: AccountLedger) -> int:
        """Give back what the store lost of any list of the account; how many records.

        Raises DependencyUnavailable if the store does not answer; what was given back by
        then is found there by the next repair.
        """
        repaired = 0
        for _ in range(REPAIR_ATTEMPTS):
            losses = self._losses(account, self._stored(owner, account))
            if not losses:
                break
            repaired += self._give_back(owner, account, losses)
        if repaired:
            self._count_repaired(repaired)
            self._log.warning(
                "the store had lost records of an account; they were given back",
                account_hash=account_hash(owner),
                records=repaired,
            )
        return repaired

    def _stored(self, owner: str, account: AccountLedger) -> Mapping[int, Records] | None:
        """The account's lists as a repair would find them; None if it was erased since."""
        # Before the records, as in every place that appends.
        (generation,) = self._store.generations([owner], self._geometry.digest)
        if generation > account.generation:
            return None
        # A store that lost an erasure makes up for it before it appends: nothing is left then.
        is_older = generation < account.generation
        return {} if is_older else self._store.load(owner, self._geometry.digest)

    def _losses(self, account: AccountLedger, stored: Mapping[int, Records] | None) -> list[_Loss]:
        if stored is None:
            return []
        pairs = [(label, stored.get(label)) for label in self._factory.labels_of(account)]
        found = [self._loss(account, label, records) for label, records in pairs]
        return [loss for loss in found if loss is not None]

    def _loss(self, account: AccountLedger, label: int, stored: Records | None) -> _Loss | None:
        known = self._factory.records_of(account, label)
        found = known[:0] if stored is None else stored
        shared = _common_length(known, found)
        if shared == len(known):
            return None
        lost, is_other = known[shared:], shared < len(found)
        return _Loss(label, found, self._novel(label, found, lost) if is_other else lost, is_other)

    def _novel(self, label: int, found: Records, lost: Records) -> Records:
        """Those of `lost` that are to stand behind `found`; a mark if it is above all others."""
        is_meter = label == self._geometry.num_classes
        rows = (
            np.flatnonzero(lost[:, 0] > found[:, 0].max())
            if is_meter
            else novel_rows(self._geometry, label, found, lost)
        )
        novel: Records = lost[rows]
        return novel

    def _give_back(self, owner: str, account: AccountLedger, losses: list[_Loss]) -> int:
        appends = [self._append(owner, account, loss) for loss in losses]
        repaired = 0
        for loss, result in zip(losses, self._store.append_many(appends), strict=True):
            if not isinstance(result, Appended):
                # Somebody else was faster: what is missing by now, the next attempt finds out.
                continue
            if len(loss.lost):
                self._count_append("regressed")
                repaired += len(loss.lost)
            if loss.is_other:
                merged = np.concatenate([loss.found, loss.lost])
                self._factory.replace(account, loss.label, merged)
        return repaired

    def _append(self, owner: str, account: AccountLedger, loss: _Loss) -> Append:
        key = LedgerKey(owner, self._geometry.digest, loss.label)
        behind = packed_end(loss.found)
        return Append(key, len(loss.found), loss.lost, account.generation, behind)


def _common_length(known: Records, found: Records) -> int:
    """How many records two lists (M, E) and (F, E) share from their beginning, bit for bit."""
    count = min(len(known), len(found))
    pairs = (np.ascontiguousarray(records[:count]).view(np.uint32) for records in (known, found))
    differs = np.any(np.not_equal(*pairs), axis=1)
    return int(np.argmax(differs)) if differs.any() else count
