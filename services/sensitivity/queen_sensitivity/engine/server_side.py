"""What a store is asked when it is to decide by itself, and what its answer settles."""

from __future__ import annotations

import random
import time

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import Geometry
from queen.method.sensitivity import record_weight, single_query_sensitivity
from queen_sensitivity.ledger_store import Append, Decided, NovelAppend
from queen_sensitivity.ledgers.account_ledger import record_weights

_ROUNDING = 1e-9
"""Share by which sums of weights may be off, whoever adds them up; far more than they are."""


def jittered_pause(attempt: int) -> None:
    """Wait before a later attempt, 16 ms at most, so that writers do not run in step."""
    if attempt:
        time.sleep(random.uniform(0.0, min(0.0005 * 2**attempt, 0.016)))  # noqa: S311 - no secret


def novel_append(geometry: Geometry, append: Append, cqs: float, threshold: float) -> NovelAppend:
    """What the store needs to take the records of `append`, candidates of one ledger.

    `cqs` is that of the ledger at the expected version.
    """
    label = append.key.label
    radius = float(geometry.sensitive_radius[label])
    # A record lies between the edge of its region and the center.
    extremes = single_query_sensitivity(geometry, np.array([radius, 0.0]), np.array([label, label]))
    lightest, heaviest = record_weight(geometry, extremes).tolist()
    return NovelAppend(
        key=append.key,
        expected_version=append.expected_version,
        candidates=append.records,
        weights=record_weights(geometry, append.records, np.full(len(append.records), label)),
        cqs=cqs,
        weight_range=(lightest * (1 - _ROUNDING), heaviest * (1 + _ROUNDING)),
        coverage_radius=float(geometry.coverage_radius[label]),
        threshold=threshold,
        generation=append.generation,
        behind=append.behind,
    )


def settled_rows(
    rows: NDArray[np.integer], candidates: NDArray[np.integer], decided: Decided
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Of ascending `rows`, those before the first candidate in doubt; and those recorded.

    A row that is no candidate stays what it is, but it is taken in its turn.
    """
    done = len(decided.is_recorded)
    settled = rows if done == len(candidates) else rows[rows < candidates[done]]
    return settled, candidates[:done][decided.is_recorded]
