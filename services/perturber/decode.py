"""From a ReverseRequest to flagged queries, checked in full."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import perturber_pb2 as pb
from queen.bundle import Bundle
from queen.errors import BatchTooLarge, BundleMismatch, InvalidQuery
from queen.wire import read_tensor

from .shadows import Flagged

_SUM_TOLERANCE = 1e-3
"""Of the protectee's rows: its softmax may have run in half precision."""


def read_flagged(request: pb.ReverseRequest, bundle: Bundle, max_rows: int) -> Flagged:
    """The flagged queries of a request.

    Raises BundleMismatch, BatchTooLarge, ShapeMismatch or InvalidQuery, each saying
    expected and got.
    """
    _require_bundle(bundle.digest, request.bundle_digest)
    manifest = bundle.manifest
    profiles = read_tensor(request.profiles, "u1", (-1,), "profiles")
    rows = len(profiles)
    _require_rows(rows, max_rows)
    is_safe = _read_profiles(profiles)
    shape = (rows, *manifest.shadows.input_shape)
    inputs = read_tensor(request.shadow_inputs, "<f4", shape, "shadow_inputs")
    probabilities = read_tensor(
        request.probabilities, "<f4", (rows, manifest.num_classes), "probabilities"
    )
    embeddings = read_tensor(
        request.embeddings, "<f4", (rows, manifest.embedding_width), "embeddings"
    )
    _require_finite(inputs, "shadow_inputs")
    _require_finite(embeddings, "embeddings")
    _require_simplex(probabilities)
    return Flagged(is_safe, inputs, probabilities, embeddings)


def _require_bundle(served: str, got: str) -> None:
    if served != got:
        raise BundleMismatch(
            f"expected bundle {served[:12]}, got {got[:12] or 'none'}: "
            "restart both services with the same bundle"
        )


def _require_rows(rows: int, max_rows: int) -> None:
    if rows == 0:
        raise InvalidQuery("profiles: expected at least 1 row, got 0", field="profiles")
    if rows > max_rows:
        raise BatchTooLarge(f"expected at most {max_rows} rows, got {rows}", field="profiles")


def _read_profiles(profiles: NDArray[np.uint8]) -> NDArray[np.bool_]:
    known = (pb.PROFILE_PAPER, pb.PROFILE_SAFE)
    unknown = profiles[~np.isin(profiles, known)]
    if len(unknown):
        raise InvalidQuery(
            f"profiles: expected {known[0]} (paper) or {known[1]} (safe), got {unknown[0]}",
            field="profiles",
        )
    is_safe: NDArray[np.bool_] = profiles == pb.PROFILE_SAFE
    return is_safe


def _require_finite(values: NDArray[np.float32], field: str) -> None:
    if not np.isfinite(values).all():
        raise InvalidQuery(f"{field}: expected finite numbers, got NaN or infinity", field=field)


def _require_simplex(probabilities: NDArray[np.float32]) -> None:
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1.0)
    # NaN fails both comparisons.
    if not ((probabilities >= 0).all() and (off <= _SUM_TOLERANCE).all()):
        raise InvalidQuery(
            "probabilities: expected non-negative rows that sum to 1, got one that does not",
            field="probabilities",
        )
