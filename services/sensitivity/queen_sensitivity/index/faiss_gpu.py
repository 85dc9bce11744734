"""Nearest records by FAISS on a GPU."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError
from queen.method.geometry import Geometry
from queen_sensitivity.index.faiss_flat import FlatIndex
from queen_sensitivity.ledgers.ledger_table import LedgerTable

_LARGEST = np.finfo(np.float32).max
_SCRATCH_BYTES = 64 * 2**20
"""GPU memory for a search under way; FAISS would reserve more than a gigabyte."""


class GpuIndex(FlatIndex):
    """`FlatIndex` with each ledger's index on the first GPU.

    Raises ConfigError where the installed FAISS has no GPU support, or finds no GPU.
    """

    def __init__(self, geometry: Geometry, table: LedgerTable) -> None:
        require_gpu()
        super().__init__(geometry, table)
        self._resources = faiss.StandardGpuResources()
        self._resources.setTempMemory(_SCRATCH_BYTES)

    def search(
        self, numbers: NDArray[np.integer], offsets: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `FlatIndex.search`; NaN for a distance that overflowed, as FAISS leaves on a CPU."""
        squared, rows = super().search(numbers, offsets)
        # On a GPU overflow leaves infinity, as if the ledger had no record at all.
        has_records = self.table.version[numbers] > 0
        squared[~(squared < _LARGEST) & has_records] = np.nan
        return squared, rows

    def _empty_index(self) -> Any:
        return faiss.GpuIndexFlatL2(self._resources, self._geometry.embedding_width)


def require_gpu() -> None:
    """ConfigError unless FAISS can use a GPU here."""
    if not hasattr(faiss, "StandardGpuResources"):
        raise ConfigError(
            "search gpu: expected a FAISS with GPU support, got one without; install "
            "queen[sensitivity-gpu], or use auto, cells or flat"
        )
    if faiss.get_num_gpus() == 0:
        raise ConfigError(
            "search gpu: expected at least 1 GPU, FAISS finds 0; use auto, cells or flat"
        )
