"""The ledger over everybody: what all accounts together have covered, as if they were one.

Derived from the accounts' ledgers and thrown away: nothing of it is stored, so that an
account that is deleted is not in the next one. No verdict follows from it, since then one
account could spend another's budget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from queen.method.cells import CellIndex
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import cumulative_query_sensitivity
from queen_sensitivity.ledger_store import Records

MOST_RECORDS = 8192
"""Records kept of a class; in the plane a region has room for about that many."""
PROBES = 4096
"""Points at which it is asked whether a region is covered: the share is right to about 1 %."""


class EverybodyLedger:
    """Takes the records of one account after the other; memory is bounded by the classes."""

    def __init__(self, geometry: Geometry, most_records: int = MOST_RECORDS) -> None:
        self._geometry = geometry
        self._most_records = most_records
        probes = _even_points(PROBES, geometry.embedding_width)
        # In units of a sensitive radius the coverage radius is the same for every class.
        self._probes = CellIndex(probes, geometry.coverage_fraction)
        self._records: dict[int, Records] = {}
        self._is_covered: dict[int, NDArray[np.bool_]] = {}
        self._cut: set[int] = set()

    def add(self, label: int, pieces: Sequence[Records]) -> None:
        """Add records of class `label`, a piece (R, E) an account."""
        records = np.concatenate(pieces)
        self._cover(label, records)
        kept = self._records.get(label, records[:0])
        fresh = records[_novel(records, kept, float(self._geometry.coverage_radius[label]))]
        if len(kept) + len(fresh) > self._most_records:
            self._cut.add(label)
        self._records[label] = np.concatenate([kept, fresh])[: self._most_records]

    def records(self, label: int) -> Records:
        """Records of a class, pairwise more than r apart, (M, E)."""
        return self._records[label]

    def cqs(self) -> dict[int, float]:
        """Cumulative query sensitivity by class; a lower bound in the classes that were cut."""
        return {
            label: cumulative_query_sensitivity(self._geometry, records, label)
            for label, records in self._records.items()
        }

    @property
    def region_covered(self) -> float:
        """Largest share of a sensitive region that lies within r of a record."""
        return max((float(each.mean()) for each in self._is_covered.values()), default=0.0)

    @property
    def classes_cut(self) -> int:
        """Classes that had more records than are kept."""
        return len(self._cut)

    def _cover(self, label: int, records: Records) -> None:
        is_covered = self._is_covered.setdefault(label, np.zeros(PROBES, np.bool_))
        offsets = records - self._geometry.cluster_centers[label].astype(np.float64)
        for _, probes in self._probes.near(offsets / self._geometry.sensitive_radius[label]):
            is_covered[probes] = True


def _novel(records: Records, known: Records, radius: float) -> NDArray[np.int64]:
    """Rows of `records` (R, E) that are novel beside `known` (M, E) and the rows before them."""
    is_novel = np.ones(len(records), np.bool_)
    for rows, _ in CellIndex(known, radius).near(records):
        is_novel[rows] = False
    rows = np.flatnonzero(is_novel)
    # The earlier neighbors of each row; most rows have none.
    earlier: dict[int, list[int]] = {}
    for found, others in CellIndex(records[rows], radius).near(records[rows]):
        is_later = found > others
        for row, other in zip(found[is_later].tolist(), others[is_later].tolist(), strict=True):
            earlier.setdefault(row, []).append(other)
    is_kept = [True] * len(rows)
    for row in sorted(earlier):
        is_kept[row] = not any(is_kept[other] for other in earlier[row])
    kept: NDArray[np.int64] = rows[is_kept]
    return kept


def _even_points(count: int, width: int) -> FloatArray:
    """Points (count, width) spread evenly over the unit ball, the same ones every time."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, width))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points: FloatArray = directions * rng.uniform(size=(count, 1)) ** (1 / width)
    return points
