"""Geometries, streams and stores for the tests of the ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from queen_sensitivity.engine.book import LedgerBook, Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import Listeners, open_book
from queen_sensitivity.ledger_store import (
    Append,
    AppendResult,
    LedgerKey,
    LedgerStore,
    MemoryLedgerStore,
    Records,
    Refused,
    open_sqlite_store,
)
from queen_sensitivity.metrics import CAS_RESULTS

from queen.errors import DependencyUnavailable
from queen.method.crossing import CrossingPolicy, Thresholds, published
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.sensitivity import Charge

CLASSES = 3


def small_geometry(fraction: float = 0.1) -> Geometry:
    """Three regions in the plane that do not overlap."""
    centers = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    return Geometry(centers, np.array([1, 2, 3], np.float32), coverage_fraction=fraction)


def stream(
    geometry: Geometry, seed: int, count: int, reach: float = 1.3
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 2) and labels (N,), some of them outside their region."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    length = reach * np.sqrt(rng.uniform(size=count)) * geometry.sensitive_radius[labels]
    offset = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None]
    return (geometry.cluster_centers[labels] + offset).astype(np.float32), labels


def queries_of(
    embeddings: np.ndarray,
    labels: np.ndarray,
    owners: Sequence[int] | None = None,
    accounts: Sequence[str] = ("a",),
    budget: int = 0,
) -> Queries:
    """A micro-batch; without `owners` all of it is the first account's."""
    index = np.zeros(len(labels), np.int64) if owners is None else np.asarray(owners)
    policies = [AccountPolicy(account_id, CrossingPolicy(budget)) for account_id in accounts]
    return Queries(policies, index, np.asarray(labels), np.asarray(embeddings, np.float32))


def batch_of(
    policies: Sequence[AccountPolicy],
    embeddings: np.ndarray,
    labels: np.ndarray,
    owners: Sequence[int] | np.ndarray | None = None,
) -> Queries:
    """A micro-batch under stated policies; without `owners` all of it is the first account's."""
    index = np.zeros(len(labels), np.int64) if owners is None else np.asarray(owners)
    return Queries(policies, index, np.asarray(labels), np.asarray(embeddings, np.float32))


def disc(geometry: Geometry, label: int, seed: int, count: int, reach: float = 0.9) -> np.ndarray:
    """`count` embeddings of one class, spread evenly over a share of its region."""
    embeddings, labels = stream(geometry, seed, 6 * CLASSES * count, reach)
    return embeddings[labels == label][:count]


def ring(geometry: Geometry, label: int, count: int, reach: float = 2.0) -> np.ndarray:
    """`count` different embeddings of one class, `reach` sensitive radii from its center."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    offset = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    center = geometry.cluster_centers[label]
    return (center + reach * geometry.sensitive_radius[label] * offset).astype(np.float32)


def meter_of(geometry: Geometry, limit: float = 12.0, reach: float = 1.2) -> OffDistributionMeter:
    """A meter whose tail begins `reach` sensitive radii from a cluster center; p0 3 %, p1 15 %."""
    return OffDistributionMeter(reach * geometry.sensitive_radius, np.log(5), 0.132, limit)


def book_of(
    geometry: Geometry,
    store: LedgerStore,
    *,
    budget: int = 12,
    cached_accounts: int = 100,
    meter: OffDistributionMeter | None = None,
    **options: Any,
) -> LedgerBook:
    """An engine over `store`; the mean sqs^2 is that of a uniform stream, about.

    Owners that state no policy are under the option `crossing`, or the published policy of
    `budget`. The other options are those of `open_book`.
    """
    mean = np.full(geometry.num_classes, 0.4)
    thresholds = Thresholds(geometry, mean, options.pop("crossing", published(budget)))
    charge = options.pop("charge", Charge.REGIONS)
    limits = Limits(geometry, thresholds, meter, charge)
    return open_book(limits, store, cached_accounts=cached_accounts, **options)


class Tally:
    """A count or a level, kept in `counts` under its name."""

    def __init__(self, counts: Counter[str], name: str) -> None:
        self._counts = counts
        self._name = name

    def inc(self, amount: float = 1) -> None:
        """Add `amount`."""
        self._counts[self._name] += int(amount)

    def set(self, value: float, /) -> None:
        """Show `value`."""
        self._counts[self._name] = int(value)


def tallies(counts: Counter[str]) -> dict[str, Tally]:
    """Counts of the store's answers to appends."""
    return {result: Tally(counts, result) for result in CAS_RESULTS}


def counting(counts: Counter[str]) -> Listeners:
    """Listeners that count the store's answers to appends."""
    return Listeners(appends=tallies(counts))


def open_store(kind: str, folder: Path) -> LedgerStore:
    """A store by name."""
    return MemoryLedgerStore() if kind == "memory" else open_sqlite_store(folder / "ledger")


class ForgetfulStore(MemoryLedgerStore):
    """A store that can lose what it acknowledged, as a failover or an old backup does."""

    def truncate(self, key: LedgerKey, version: int) -> int:
        """Keep the first `version` records of a list; how many are gone."""
        records = self._lists.pop(key, None)
        if records is None:
            return 0
        if version:
            self._lists[key] = records[:version]
        return max(0, len(records) - version)

    def snapshot(self) -> tuple[dict[LedgerKey, Records], dict[tuple[str, str], int]]:
        """All records and generations, to `restore`."""
        return dict(self._lists), dict(self._generations)

    def restore(self, state: tuple[dict[LedgerKey, Records], dict[tuple[str, str], int]]) -> None:
        """Go back to an earlier state."""
        self._lists, self._generations = map(dict, state)


class FullStore(MemoryLedgerStore):
    """A store that takes no records while it `is_full`; it answers everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Refuse the appends that have records."""
        return [
            Refused("no room") if self.is_full and len(append.records) else self._append(append)
            for append in appends
        ]


class StoreWithEvents:
    """A store on which `before_append` runs first: another replica, or a failure."""

    def __init__(self, store: LedgerStore) -> None:
        self.inner = store
        self.before_append: Callable[[Sequence[Append]], None] = lambda _: None
        self.after_append: Callable[[], None] = lambda: None
        self.appends: list[Sequence[Append]] = []
        self.loads = 0
        self.is_down = False

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Let the event happen, then append."""
        self._require_up()
        self.before_append(appends)
        self.appends.append(appends)
        results = self.inner.append_many(appends)
        self.after_append()
        return results

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """Load, and count, unless the store is down."""
        self._require_up()
        self.loads += 1
        return self.inner.load(account_id, geometry_digest)

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """List."""
        return self.inner.list_accounts(geometry_digest, after, limit)

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """Ask, unless the store is down."""
        self._require_up()
        return self.inner.generations(account_ids, geometry_digest)

    def close(self) -> None:
        """Close."""
        self.inner.close()

    def _require_up(self) -> None:
        if self.is_down:
            raise DependencyUnavailable("expected an answer, got none")
