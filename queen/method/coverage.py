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
    recorded, asked = (verdicts == Verdict.RECORD).nonzero()[0], is_open.nonzero()[0]
    ledgers = rows.ledger_index
    # Few ledgers have both.
    for ledger in np.intersect1d(ledgers[recorded], ledgers[asked]).tolist():
        fresh = recorded[ledgers[recorded] == ledger]
        behind = asked[(ledgers[asked] == ledger) & (asked > fresh[0])]
        for row in behind.tolist():
            earlier = rows.embeddings[fresh[fresh < row]]
            nearest = nearest_distances(earlier, rows.embeddings[[row]].astype(np.float64))
            is_covered[row] = nearest[0] <= radius[row]
    return is_covered
