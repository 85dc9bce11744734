"""Gives a store back the records that it lost in a failover to a lagging replica or a restore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import Geometry
from queen.method.packing import novel_rows
from queen.serving.logging import account_hash, logger
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    LedgerKey,
    LedgerStore,
    Records,
    Refused,
    packed_end,
)
from queen_sensitivity.ledgers.account import Account
from queen_sensitivity.metrics import Count

REPAIR_ATTEMPTS = 4


@dataclass(frozen=True, eq=False)
class _Loss:
    """A list in the store that lacks records which memory has.

    The records `lost` (R, E) belong behind its records `stored` (S, E). If other records were
    appended meanwhile, `is_other`, memory has to follow.
    """

    label: int
    stored: Records
    lost: Records
    is_other: bool


class LedgerRepair:
    """Appends the records of an account that are in memory and no longer in the store.

    Every append is a compare-and-set in the generation of the memory, so an erasure stays
    in force. A list that others appended to since the loss keeps their records, and gets the
    lost records that these do not cover: all records of a class stay farther than r apart.
    Lists that `regressed` and records that were `repaired` are counted.
    """

    def __init__(
        self,
        geometry: Geometry,
        store: LedgerStore,
        regressed: Count,
        repaired: Count,
    ) -> None:
        self._geometry = geometry
        self._store = store
        self._regressed = regressed
        self._repaired = repaired
        self._log = logger("ledgers")

    def repair(self, account: Account) -> int:
        """Give back the lost records of all lists of the account; returns how many.

        Raises DependencyUnavailable if the store does not answer; the next repair finds the
        records that were given back by then.
        """
        repaired = 0
        for _ in range(REPAIR_ATTEMPTS):
            losses = self._losses(account)
            if not losses:
                break
            given, _ = self._give_back(account, losses)
            self._regressed.inc(sum(count > 0 for count in given))
            repaired += sum(given)
        if repaired:
            self._repaired.inc(repaired)
            self._log.warning(
                "the store had lost records of an account; they were given back",
                account_hash=account_hash(account.owner),
                records=repaired,
            )
        return repaired

    def is_erased(self, account: Account) -> bool:
        """Whether the store has erased the account since memory read it."""
        (generation,) = self._store.generations([account.owner], self._geometry.digest)
        return generation > account.generation

    def write_back(self, account: Account) -> bool:
        """Append the records that the store was never given; whether none is left.

        Raises as `repair` does.
        """
        for _ in range(REPAIR_ATTEMPTS):
            losses = self._losses(account)
            if not losses:
                return True
            _, is_refused = self._give_back(account, losses)
            if is_refused:
                break
        return False

    def _losses(self, account: Account) -> list[_Loss]:
        stored = self._stored(account)
        if stored is None:
            return []
        losses = [self._loss(account, label, stored.get(label)) for label in account.labels]
        return [loss for loss in losses if loss is not None]

    def _stored(self, account: Account) -> Mapping[int, Records] | None:
        """The account's lists as a repair would find them; None if it was erased since."""
        # The generation is read before the records, as everywhere before an append.
        (generation,) = self._store.generations([account.owner], self._geometry.digest)
        if generation > account.generation:
            return None
        # A store that lost an erasure repeats it before it appends: no record is left then.
        is_older = generation < account.generation
        return {} if is_older else self._store.load(account.owner, self._geometry.digest)

    def _loss(self, account: Account, label: int, records: Records | None) -> _Loss | None:
        known = account.records(label)
        stored = known[:0] if records is None else records
        shared = _common_length(known, stored)
        if shared == len(known):
            return None
        lost, is_other = known[shared:], shared < len(stored)
        if is_other:
            lost = self._novel(label, stored, lost)
        return _Loss(label, stored, lost, is_other)

    def _novel(self, label: int, stored: Records, lost: Records) -> Records:
        """The part of `lost` to append to `stored`: novel records, or marks that say more."""
        is_meter = label == self._geometry.num_classes
        rows = (
            _telling_rows(stored[:, 0], lost[:, 0])
            if is_meter
            else novel_rows(self._geometry, label, stored, lost)
        )
        novel: Records = lost[rows]
        return novel

    def _give_back(self, account: Account, losses: list[_Loss]) -> tuple[list[int], bool]:
        """Records that each list was given, (L,), and whether the store took none of some."""
        results = self._store.append_many([self._append(account, loss) for loss in losses])
        given = []
        for loss, result in zip(losses, results, strict=True):
            # Another replica may have been faster: the next attempt finds what is still missing.
            is_made = isinstance(result, Appended)
            given.append(len(loss.lost) if is_made else 0)
            if is_made and loss.is_other:
                account.replace(loss.label, np.concatenate([loss.stored, loss.lost]))
        return given, any(isinstance(result, Refused) for result in results)

    def _append(self, account: Account, loss: _Loss) -> Append:
        key = LedgerKey(account.owner, self._geometry.digest, loss.label)
        behind = packed_end(loss.stored)
        return Append(key, len(loss.stored), loss.lost, account.generation, behind)


def _telling_rows(stored: NDArray[np.float32], lost: NDArray[np.float32]) -> NDArray[np.int64]:
    """Lost levels above all others, and the lost secrets if the store has none, (R,)."""
    is_higher = (lost > 0) & (lost > stored.max())
    is_only = (lost < 0) & (not (stored < 0).any())
    return np.flatnonzero(is_higher | is_only)


def _common_length(known: Records, stored: Records) -> int:
    """Number of first records that two lists (M, E) and (S, E) share, bit for bit."""
    count = min(len(known), len(stored))
    pairs = (np.ascontiguousarray(records[:count]).view(np.uint32) for records in (known, stored))
    differs = np.any(np.not_equal(*pairs), axis=1)
    return int(np.argmax(differs)) if differs.any() else count
