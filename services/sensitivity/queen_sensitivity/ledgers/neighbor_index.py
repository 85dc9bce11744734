"""The protocol of the index that tells which queries are novel to a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import LabelArray
from queen_sensitivity.ledger_store import Records
from queen_sensitivity.ledgers.ledger_table import Numbers


class NeighborIndex(Protocol):
    """The records of a `LedgerTable`, searchable.

    Each ledger lies in a structure of its own, and a row reads that of its own ledger alone.
    No selector separates accounts inside a shared index: some FAISS indexes accept a selector
    and silently ignore it.
    """

    def add(self, numbers: Numbers, counts: Numbers, records: Records) -> None:
        """Index `records` (R, E), the last `counts` (L,) of each ledger in turn.

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
