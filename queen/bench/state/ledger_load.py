"""Made-up accounts with realistic ledgers, and batches of queries whose verdicts are known.

Records lie on a lattice whose points are just more than r apart, so that a ledger may have
any part of it: a query beside a record is covered, one on an empty point is novel.
Shapes: B rows, E = 2, S points of the lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from queen_sensitivity.engine.book import LedgerBook, Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import Append, LedgerKey, LedgerStore

from queen.method.crossing import Thresholds, published
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import OffDistributionMeter

CLASSES = 10
MEAN_SQUARED_SQS = 0.45
_APART = 1.01
"""Spacing of the lattice in units of r."""
_EARLY_SHARE = 0.6
_MARK = np.array([[30.0, 0.0]], np.float32)
"""Half the meter's limit: accounts of a long history have strayed before, and rarely go beyond."""


@dataclass(frozen=True, eq=False)
class Site:
    """The regions that the accounts of a bench query: discs of the plane, far from each other."""

    coverage_fraction: float = 0.02

    @cached_property
    def geometry(self) -> Geometry:
        """Regions of radius 1."""
        angles = np.arange(CLASSES) * (2 * np.pi / CLASSES)
        centers = 20.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return Geometry(
            centers.astype(np.float32),
            np.ones(CLASSES, np.float32),
            coverage_fraction=self.coverage_fraction,
        )

    @cached_property
    def meter(self) -> OffDistributionMeter:
        """A meter whose tail begins at 2.5 radii; p0 3 %, p1 15 %."""
        return OffDistributionMeter(np.full(CLASSES, 2.5), np.log(5.0), 0.132, 60.0)

    @cached_property
    def lattice(self) -> NDArray[np.float64]:
        """Points of a region as offsets from its center, (S, 2), in no order."""
        step = _APART * self.coverage_fraction
        side = np.arange(-int(1 / step) - 2, int(1 / step) + 3)
        across, up = np.meshgrid(side, side)
        points = np.stack([across + 0.5 * (up % 2), up * np.sqrt(0.75)], axis=-1).reshape(-1, 2)
        points = step * points
        inside = points[np.linalg.norm(points, axis=1) < 0.97]
        mixed: NDArray[np.float64] = inside[np.random.default_rng(0).permutation(len(inside))]
        return mixed

    def embeddings(
        self, labels: NDArray[np.integer], offsets: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Offsets (B, 2) of classes `labels` (B,) as embeddings."""
        embeddings: NDArray[np.float32] = self.geometry.cluster_centers[labels] + offsets
        return embeddings.astype(np.float32)

    def thresholds(self, budget: int) -> Thresholds:
        """The engine's thresholds for a budget."""
        mean = np.full(CLASSES, MEAN_SQUARED_SQS)
        return Thresholds(self.geometry, mean, published(budget))

    def book(self, store: LedgerStore, *, budget: int, cached_accounts: int) -> LedgerBook:
        """An engine over `store`."""
        limits = Limits(self.geometry, self.thresholds(budget), self.meter)
        return open_book(limits, store, cached_accounts=cached_accounts)


@dataclass(frozen=True, eq=False)
class Crowd:
    """Accounts of a site with ledgers in `classes` classes.

    Ledger (account, class) has the `records` points of the lattice from `starts` (A, K) on.
    """

    site: Site
    accounts: int
    classes: int
    records: int
    prefix: str = "account"

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Position on the lattice at which each ledger begins, (A, K)."""
        rng = np.random.default_rng(1)
        return rng.integers(0, len(self.site.lattice), (self.accounts, self.classes))

    def name(self, account: int) -> str:
        """Id of an account."""
        return f"{self.prefix}-{account}"

    def fill(self, store: LedgerStore) -> None:
        """Put all ledgers into a store, in bulk.

        Every ledger is filled by two appends, so that its list has grown and has room at its end.
        """
        early = int(_EARLY_SHARE * self.records)
        for first in range(0, self.accounts, 1000):
            appends = []
            for account in range(first, min(first + 1000, self.accounts)):
                for label in range(self.classes):
                    key = LedgerKey(self.name(account), self.site.geometry.digest, label)
                    records = self._stored(account, label)
                    if early:
                        appends.append(Append(key, 0, records[:early]))
                    appends.append(Append(key, early, records[early:]))
                key = LedgerKey(self.name(account), self.site.geometry.digest, CLASSES)
                appends.append(Append(key, 0, _MARK))
            store.append_many(appends)

    def _stored(self, account: int, label: int) -> NDArray[np.float32]:
        points = self.starts[account, label] + np.arange(self.records)
        offsets = self.site.lattice[points % len(self.site.lattice)]
        return self.site.embeddings(np.full(self.records, label), offsets)

    def at(
        self, accounts: Sequence[int], labels: NDArray[np.integer], points: NDArray[np.integer]
    ) -> Queries:
        """A micro-batch of a row for each account, on points (A,) counted from its ledger's first.

        Those below `records` are its records, the others are novel.
        """
        lattice = self.site.lattice
        points = (self.starts[np.asarray(accounts), labels] + points) % len(lattice)
        return self._queries(accounts, np.arange(len(accounts)), labels, lattice[points])

    def batch(
        self,
        rng: np.random.Generator,
        rows: int,
        *,
        accounts: Sequence[int] | None = None,
        novel: float = 0.0,
        tail: float = 0.025,
    ) -> Queries:
        """A micro-batch whose rows go to these accounts in turn; by default drawn at random.

        A share `novel` lies on empty points and a share `tail` in the tail; 27 in 100 lie
        outside their region, and all others are covered.
        """
        if accounts is None:
            accounts = rng.choice(self.accounts, min(rows, self.accounts), replace=False).tolist()
        lattice, index = self.site.lattice, np.arange(rows) % len(accounts)
        labels = rng.integers(0, self.classes, rows)
        kind = rng.random(rows)
        empty = self.records + rng.integers(0, len(lattice) - self.records, rows)
        points = np.where(kind < novel, empty, rng.integers(0, self.records, rows))
        points += self.starts[np.asarray(accounts)[index], labels]
        offsets = lattice[points % len(lattice)]
        offsets += 0.2 * self.site.coverage_fraction * rng.uniform(-1, 1, (rows, 2))
        angle = rng.uniform(0, 2 * np.pi, rows)
        around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        outside = (kind >= novel) & (kind > 0.73 - tail)
        offsets[outside] = around[outside] * rng.uniform(1.05, 2.4, (rows, 1))[outside]
        far = (kind >= novel) & (kind > 1.0 - tail)
        offsets[far] = 3.0 * around[far]
        return self._queries(accounts, index, labels, offsets)

    def outside(self, rng: np.random.Generator, accounts: Sequence[int]) -> Queries:
        """A micro-batch of a row for each account outside its region: it changes no ledger."""
        count = len(accounts)
        angle = rng.uniform(0, 2 * np.pi, count)
        offsets = 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        labels = rng.integers(0, self.classes, count)
        return self._queries(accounts, np.arange(count), labels, offsets)

    def _queries(
        self,
        accounts: Sequence[int],
        index: NDArray[np.integer],
        labels: NDArray[np.integer],
        offsets: NDArray[np.float64],
    ) -> Queries:
        policies = [AccountPolicy(self.name(account)) for account in accounts]
        return Queries(policies, index, labels, self.site.embeddings(labels, offsets))
