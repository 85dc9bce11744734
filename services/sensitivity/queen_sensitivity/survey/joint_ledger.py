"""The joint ledger: the records that all accounts would have if they were one account.

A survey derives it from the accounts' ledgers and throws it away. Nothing of it is stored, so
that a deleted account is not in the next survey. No verdict follows from it, since then one
account could use up another's budget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import Geometry
from queen.method.packing import RegionProbes, novel_rows_by_grid
from queen.method.sensitivity import cumulative_query_sensitivity
from queen_sensitivity.ledger_store import Records

MOST_RECORDS = 8192
"""Records kept of a class; in the plane a region has room for about that many."""


class JointLedger:
    """Adds the records of account after account; its memory is bounded by the classes."""

    def __init__(
        self, geometry: Geometry, probes: RegionProbes, most_records: int = MOST_RECORDS
    ) -> None:
        self._geometry = geometry
        self._probes = probes
        self._most_records = most_records
        self._records: dict[int, Records] = {}
        self._is_covered: dict[int, NDArray[np.bool_]] = {}
        self._cut: set[int] = set()

    def add(self, label: int, pieces: Sequence[Records]) -> None:
        """Add records of class `label`, a piece (R, E) for each account."""
        records = np.concatenate(pieces)
        covered = self._probes.covered(label, records)
        self._is_covered[label] = self._is_covered.get(label, False) | covered
        kept = self._records.get(label, records[:0])
        radius = float(self._geometry.coverage_radius[label])
        fresh = records[novel_rows_by_grid(kept, records, radius)]
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
        return max((float(probes.mean()) for probes in self._is_covered.values()), default=0.0)

    @property
    def classes_cut(self) -> int:
        """Classes that had more records than are kept."""
        return len(self._cut)
