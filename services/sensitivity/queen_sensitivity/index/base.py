"""Opens the neighbor index that the settings name."""

from __future__ import annotations

from typing import Literal

from queen.method.geometry import Geometry
from queen_sensitivity.index.cells import CellIndex
from queen_sensitivity.index.faiss_flat import FlatIndex
from queen_sensitivity.index.faiss_gpu import GpuIndex
from queen_sensitivity.ledgers.ledger_table import LedgerTable
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex

IndexKind = Literal["auto", "cells", "flat", "gpu"]
AUTO_CELLS_WIDTH = 3
"""Most axes for which auto chooses cells; with more, FAISS is faster for large batches."""


def open_index(kind: IndexKind, geometry: Geometry, table: LedgerTable) -> NeighborIndex:
    """The index that `kind` names; ConfigError for an index that cannot run here.

    auto is cells for embeddings of up to AUTO_CELLS_WIDTH axes, and flat for wider embeddings.
    """
    if kind == "auto":
        kind = "cells" if geometry.embedding_width <= AUTO_CELLS_WIDTH else "flat"
    if kind == "cells":
        return CellIndex(geometry, table)
    return FlatIndex(geometry, table) if kind == "flat" else GpuIndex(geometry, table)
