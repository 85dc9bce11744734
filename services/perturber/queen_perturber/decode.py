"""Decodes a ReverseRequest into flagged queries, and checks every field of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import perturber_pb2 as pb
from queen.bundle import Bundle
from queen.errors import InvalidQuery, SecretMismatch
from queen.wire import PROFILES, read_tensor, require_bundle, require_finite, require_rows
from queen_perturber.reversal import Flagged

_SUM_TOLERANCE = 1e-3
"""Largest distance of a row's sum from 1: its softmax may have run in half precision."""


def read_flagged(
    request: pb.ReverseRequest, bundle: Bundle, max_rows: int, secrets: Sequence[int]
) -> Flagged:
    """The flagged queries of a request; `secrets` are the fingerprints held, the current one first.

    Raises BundleMismatch, SecretMismatch, BatchTooLarge, ShapeMismatch or InvalidQuery, which say
    what was expected and what was got.
    """
    require_bundle(bundle.digest, request.bundle_digest)
    manifest = bundle.manifest
    profiles = read_tensor(request.profiles, "u1", (-1,), "profiles")
    rows = len(profiles)
    require_rows(rows, max_rows, "profiles")
    _require_profiles(profiles)
    shape = (rows, *manifest.shadows.input_shape)
    inputs = read_tensor(request.shadow_inputs, "<f4", shape, "shadow_inputs")
    probabilities = read_tensor(
        request.probabilities, "<f4", (rows, manifest.num_classes), "probabilities"
    )
    embeddings = read_tensor(
        request.embeddings, "<f4", (rows, manifest.embedding_width), "embeddings"
    )
    sketches = read_tensor(request.sketches, "<f4", (rows, manifest.decoy.sketch_width), "sketches")
    require_finite(inputs, "shadow_inputs")
    require_finite(sketches, "sketches")
    require_finite(embeddings, "embeddings")
    _require_simplex(probabilities)
    balanced_l1 = _read_balanced_l1(request, profiles)
    keys = _read_secrets(request, rows, secrets)
    return Flagged(profiles, inputs, probabilities, embeddings, sketches, balanced_l1, keys)


def _read_secrets(request: pb.ReverseRequest, rows: int, held: Sequence[int]) -> NDArray[np.uint32]:
    if not request.secrets:
        return np.full(rows, held[0], np.uint32)
    wanted = read_tensor(request.secrets, "<u4", (rows,), "secrets")
    keys = np.where(wanted == 0, np.uint32(held[0]), wanted)
    unknown = keys[~np.isin(keys, held)]
    if len(unknown):
        known = " or ".join(map(str, held))
        raise SecretMismatch(
            f"secrets: expected the secret with the fingerprint {known}, got {unknown[0]}; give "
            "all perturbers the same secret files"
        )
    return keys


def _require_profiles(profiles: NDArray[np.uint8]) -> None:
    unknown = profiles[~np.isin(profiles, list(PROFILES))]
    if len(unknown):
        known = ", ".join(f"{code} ({profile.value})" for code, profile in PROFILES.items())
        raise InvalidQuery(f"profiles: expected {known}, got {unknown[0]}", field="profiles")


def _read_balanced_l1(request: pb.ReverseRequest, profiles: NDArray[np.uint8]) -> float:
    l1 = float(request.balanced_l1)
    if (profiles == pb.PROFILE_BALANCED).any() and not 0 < l1 <= 2:
        raise InvalidQuery(
            f"balanced_l1: expected an L1 distance in (0, 2], got {l1:g}", field="balanced_l1"
        )
    return l1


def _require_simplex(probabilities: NDArray[np.float32]) -> None:
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1.0)
    # NaN fails both comparisons.
    if not ((probabilities >= 0).all() and (off <= _SUM_TOLERANCE).all()):
        raise InvalidQuery(
            "probabilities: expected non-negative rows that sum to 1, got one that does not",
            field="probabilities",
        )
