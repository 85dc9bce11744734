"""Batches of the engine, over an empty memory of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from queen_sensitivity.engine.batch import Batch
from queen_sensitivity.engine.charging import Queries, charge_owners
from queen_sensitivity.ledger_store import LedgerStore
from queen_sensitivity.ledgers.account_cache import AccountCache, Recheck
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory, UnwrittenRecords
from queen_sensitivity.ledgers.repair import LedgerRepair

from queen.method.crossing import CrossingPolicy, Thresholds, published
from queen.method.geometry import Geometry
from tests.unit.sensitivity.ledgers.memories import memory_of
from tests.unit.sensitivity.regions import Tally

TWELVE = published(12)
"""The published policy of 12 records of a class."""


@dataclass(frozen=True)
class Room:
    """A memory and its cache over a store; the mean sqs^2 is that of a uniform stream, about."""

    memory: LedgerMemory
    cache: AccountCache
    thresholds: Thresholds

    def open(self, queries: Queries) -> Batch:
        """The batch of `queries`, with its accounts in memory."""
        charged = charge_owners(queries)
        policies = charged.rows.accounts
        limits = self.thresholds.of_owners([policy.crossing for policy in policies])
        fetched = self.cache.fetch([policy.account_id for policy in policies], limits)
        return Batch(charged, limits, fetched, self.memory)


def room_over(geometry: Geometry, store: LedgerStore, crossing: CrossingPolicy = TWELVE) -> Room:
    """A room of 10 accounts; its store is asked again about spent accounts each time."""
    memory = memory_of(geometry)
    counts = Counter[str]()
    repair = LedgerRepair(geometry, store, Tally(counts, "regressed"), Tally(counts, "repaired"))
    recheck = Recheck(0.0, lambda: 0.0)
    unwritten = UnwrittenRecords(0, Tally(counts, "unwritten"))
    cache = AccountCache(
        *(memory, store, repair), size=10, limit=9.0, recheck=recheck, unwritten=unwritten
    )
    mean = np.full(geometry.num_classes, 0.4)
    return Room(memory, cache, Thresholds(geometry, mean, crossing))


def labels_of(*labels: int) -> np.ndarray:
    """Predicted classes."""
    return np.array(labels, np.int64)


def centers(geometry: Geometry, labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """The cluster center of each label."""
    points: np.ndarray = geometry.cluster_centers[np.asarray(labels)]
    return points
