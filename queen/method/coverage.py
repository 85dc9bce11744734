"""Coverage by fresh records: rows of a batch near a record that an earlier row of it makes.

Shapes: B rows, E embedding width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray
from queen.method.ledger import LedgerRows, Verdict
from queen.method.neighbors import nearest_distances


def covered_by_fresh(
    rows: LedgerRows, radius: FloatArray, verdicts: NDArray[np.uint8], is_open: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether each open row is within r of a record that an earlier row of its ledger makes, (B,).

    `radius` (B,) is the coverage radius of each row, `verdicts` (B,) say which rows are recorded,
    and `is_open` (B,) which rows are asked about: others are not covered.
    """
    is_covered = np.zeros(len(verdicts), np.bool_)
    recorded = (verdicts == Verdict.RECORD).nonzero()[0]
    if not len(recorded) or not np.count_nonzero(is_open):
        return is_covered
    for ledger in np.unique(rows.ledger_index[recorded]).tolist():
        fresh = recorded[rows.ledger_index[recorded] == ledger]
        asked = (is_open & (rows.ledger_index == ledger)).nonzero()[0]
        for row in asked[asked > fresh[0]].tolist():
            earlier = rows.embeddings[fresh[fresh < row]]
            nearest = nearest_distances(earlier, rows.embeddings[[row]].astype(np.float64))
            is_covered[row] = nearest[0] <= radius[row]
    return is_covered
