"""Nearest records for rows of many ledgers at once, by one of several engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import Geometry, LabelArray

from .cell_search import CellSearch
from .faiss_gpu import GpuSearch
from .faiss_index import FlatSearch
from .faiss_ivf import IvfSearch
from .ledger_store import Records
from .ledger_table import LedgerTable, Numbers

SearchKind = Literal["auto", "cells", "flat", "ivf", "gpu"]
AUTO_CELLS_WIDTH = 3
"""Most axes for which auto takes cells; wider, large batches are faster by FAISS."""


class NeighborSearch(Protocol):
    """The records of a `LedgerTable`, searchable.

    Each ledger lies in a place of its own, and a row reads the places of its own ledger
    alone. No selector separates accounts inside a shared index: some FAISS indexes accept
    one and silently ignore it.
    """

    def add(self, numbers: Numbers, counts: Numbers, records: Records) -> None:
        """Take over `records` (R, E), the last `counts` (L,) of each ledger in turn.

        `numbers` (L,) are distinct, and the table has the records already.
        """
        ...

    def drop(self, numbers: Sequence[int]) -> None:
        """Forget ledgers, before the table closes them."""
        ...

    def is_novel(
        self, numbers: Numbers, embeddings: Records, labels: LabelArray
    ) -> NDArray[np.bool_]:
        """Whether each row is farther than r from every record of its ledger, (B,).

        `numbers` (B,), `embeddings` (B, E), `labels` (B,). Exactly what the float64 oracle
        `nearest_distances` says, however near to the coverage radius r a record lies.
        """
        ...


def open_search(kind: SearchKind, geometry: Geometry, table: LedgerTable) -> NeighborSearch:
    """The engine of a setting; ConfigError for one that cannot run here.

    auto is cells for embeddings of up to AUTO_CELLS_WIDTH axes, and flat for wider ones.
    """
    if kind == "auto":
        kind = "cells" if geometry.embedding_width <= AUTO_CELLS_WIDTH else "flat"
    if kind == "cells":
        return CellSearch(geometry, table)
    if kind == "flat":
        return FlatSearch(geometry, table)
    return IvfSearch(geometry, table) if kind == "ivf" else GpuSearch(geometry, table)
