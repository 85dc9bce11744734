"""Ledgers with their index, held against the brute-force oracle; and points to fill them."""

from __future__ import annotations

import faiss
import numpy as np
from queen_sensitivity.index.base import IndexKind, open_index
from queen_sensitivity.ledgers.ledger_table import NO_LEDGER, LedgerTable
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex

from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances

HAS_GPU = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def geometry_of(
    width: int, fraction: float, *, scale: float = 1.0, shift: float = 0.0, classes: int = 3
) -> Geometry:
    """Regions of radius `scale` and more, `shift` radii away from the origin."""
    rng = np.random.default_rng(width)
    centers = scale * (shift + rng.normal(size=(classes, width)))
    radius = scale * np.linspace(1.0, 2.0, classes)
    return Geometry(
        centers.astype(np.float32), radius.astype(np.float32), coverage_fraction=fraction
    )


def points_in(
    geometry: Geometry, labels: np.ndarray, rng: np.random.Generator, spread: float = 1.0
) -> np.ndarray:
    """A point of each label's region, uniform in direction and distance."""
    direction = rng.normal(size=(len(labels), geometry.embedding_width))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    length = spread * rng.uniform(size=len(labels)) * geometry.sensitive_radius[labels]
    return (geometry.cluster_centers[labels] + direction * length[:, None]).astype(np.float32)


class Ledgers:
    """A table with its search, and what both were given, ledger by ledger."""

    def __init__(self, kind: IndexKind, geometry: Geometry) -> None:
        self.geometry = geometry
        self.table = LedgerTable(geometry.embedding_width)
        self.search: NeighborIndex = open_index(kind, geometry, self.table)
        empty = np.zeros((0, geometry.embedding_width), np.float32)
        self.given: dict[int, np.ndarray] = {NO_LEDGER: empty}

    def open(self, label: int) -> int:
        """A new ledger of a class."""
        number = self.table.open(label)
        self.given[number] = self.given[NO_LEDGER]
        return number

    def add(self, lists: dict[int, np.ndarray]) -> None:
        """Append records to several ledgers at once."""
        lists = {number: records for number, records in lists.items() if len(records)}
        if not lists:
            return
        numbers, counts = np.array(list(lists)), np.array([len(one) for one in lists.values()])
        records = np.concatenate(list(lists.values()))
        self.table.extend(numbers, counts, records, np.ones(len(records)))
        self.search.add(numbers, counts, records)
        for number, more in lists.items():
            self.given[number] = np.concatenate([self.given[number], more])

    def close(self, number: int) -> None:
        """Erase a ledger."""
        self.search.drop([number])
        self.table.close([number])
        del self.given[number]

    def check(self, numbers: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Search, and hold each row against the oracle over its own ledger's records alone."""
        found = self.search.is_novel(numbers, queries, labels)
        exact = np.array(
            [
                nearest_distances(self.given[int(number)], query[None])[0]
                for number, query in zip(numbers, queries, strict=True)
            ]
        )
        assert np.array_equal(found, exact > self.geometry.coverage_radius[labels])
        return found


def move_to_boundary(
    geometry: Geometry,
    queries: np.ndarray,
    labels: np.ndarray,
    stored: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Put half of the queries at r from a record, within a few units of rounding."""
    for row in range(0, len(queries), 2):
        records = stored[labels[row]]
        if len(records):
            direction = rng.normal(size=records.shape[1])
            direction /= np.linalg.norm(direction)
            length = geometry.coverage_radius[labels[row]] * (1 + rng.integers(-4, 5) * 1e-7)
            queries[row] = records[rng.integers(len(records))] + direction * length
