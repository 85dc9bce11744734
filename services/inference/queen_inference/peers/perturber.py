"""Answers that lead a copy the wrong way: flagged rows go to the perturber service.

Shapes: F flagged queries, C classes, E embedding width, S sketch width.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import DependencyUnavailable, ShapeMismatch
from queen.wire import read_tensor, tensor_bytes
from queen_inference.peers.peer import Call, Callee
from queen_inference.protectee import Array, SingleArray

PERTURBER = perturber_pb2.DESCRIPTOR.services_by_name["PerturberService"].full_name
FILLED_SHARE = 0.9
"""Share of the largest message that tensors may fill; the rest is for the other fields."""
_ARRAYS = ("profiles", "shadow_inputs", "probabilities", "embeddings", "sketches", "secrets")


@dataclass(frozen=True, slots=True, eq=False)
class FlaggedRows:
    """F queries that the perturber answers; see `queen/api/v1/perturber.proto`.

    `profiles` (F,) are numbers of `queen.wire.PROFILES`, `shadow_inputs` (F, ...) and
    `sketches` (F, S) numbers of the protectee's own types, `probabilities` (F, C) and
    `embeddings` (F, E) its outputs. `balanced_l1` is the profile's largest L1 distance, `secrets`
    (F,) the fingerprints of the secrets that key the answers, 0 for the current one, and `owner`
    the hash of the owner in whose turn they are computed.
    """

    profiles: NDArray[np.uint8]
    shadow_inputs: Array
    probabilities: SingleArray
    embeddings: SingleArray
    sketches: Array
    balanced_l1: float
    secrets: NDArray[np.uint32]
    owner: str = ""

    def __len__(self) -> int:
        """F."""
        return len(self.profiles)

    def parts(self, largest_bytes: float) -> list[FlaggedRows]:
        """The rows in parts of at most `largest_bytes` on the wire, and of at least one row."""
        # Every number is sent in at most 4 bytes.
        row_bytes = 4 * sum(getattr(self, name)[0].size for name in _ARRAYS)
        size = max(1, int(largest_bytes) // row_bytes)
        return [self._rows(slice(start, start + size)) for start in range(0, len(self), size)]

    def _rows(self, rows: slice) -> FlaggedRows:
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})


class Reverses(Protocol):
    """Answers flagged queries: one perturber, or all of them."""

    async def reverse(self, flagged: FlaggedRows, timeout_seconds: float) -> SingleArray:
        """Answers (F, C) to flagged queries; DependencyUnavailable if they do not come in time."""


class PerturberClient:
    """Asks one endpoint of the perturber service."""

    def __init__(self, peer: Callee, bundle_digest: str) -> None:
        self._peer = peer
        self._digest = bundle_digest
        self._reverse: Call = perturber_pb2_grpc.PerturberServiceStub(peer.channel).Reverse

    async def reverse(self, flagged: FlaggedRows, timeout_seconds: float) -> SingleArray:
        """Answers (F, C) to flagged queries; DependencyUnavailable if they do not come in time.

        Rows that are too large for one message travel in several calls; a row's answer does
        not depend on the other rows of its call.
        """
        parts = flagged.parts(FILLED_SHARE * self._peer.max_message_bytes)
        answers = await asyncio.gather(*(self._ask(part, timeout_seconds) for part in parts))
        return np.concatenate(answers)

    async def _ask(self, flagged: FlaggedRows, timeout_seconds: float) -> SingleArray:
        request = perturber_pb2.ReverseRequest(
            bundle_digest=self._digest,
            profiles=tensor_bytes(flagged.profiles, "u1"),
            shadow_inputs=tensor_bytes(_within_single(flagged.shadow_inputs)),
            probabilities=tensor_bytes(flagged.probabilities),
            embeddings=tensor_bytes(flagged.embeddings),
            sketches=tensor_bytes(_within_single(flagged.sketches)),
            balanced_l1=flagged.balanced_l1,
            secrets=tensor_bytes(flagged.secrets, "<u4"),
            owner=flagged.owner,
        )
        response = await self._peer.call(self._reverse, request, timeout_seconds)
        shape = flagged.probabilities.shape
        try:
            keys = read_tensor(response.secrets, "<u4", shape[:1], "ReverseResponse.secrets")
            answers = read_tensor(
                response.probabilities, "<f4", shape, "ReverseResponse.probabilities"
            )
        except ShapeMismatch as error:
            raise DependencyUnavailable(f"{PERTURBER}: {error}") from error
        if ((keys != flagged.secrets) & (flagged.secrets != 0)).any():
            raise DependencyUnavailable(f"{PERTURBER}: answered under another secret than asked")
        return answers


def _within_single(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers that are finite in float32: one row of huge FP64 must not fail its neighbors."""
    largest = np.finfo(np.float32).max
    return np.clip(values, -largest, largest) if values.dtype == np.float64 else values
