"""What the front door asks its peers, in NumPy terms."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import (
    perturber_pb2,
    perturber_pb2_grpc,
    sensitivity_pb2,
    sensitivity_pb2_grpc,
)
from queen.errors import DependencyUnavailable, ShapeMismatch
from queen.method.contracts import SCOPES, Profile
from queen.method.facts import FACTS, FactArray
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from queen.wire import read_facts, read_tensor, tensor_bytes
from queen_inference.peers.peer import PERTURBER, SENSITIVITY, Call, Callee

SingleArray = NDArray[np.float32]
NO_VERDICT = 0
"""Where a verdict would stand."""


@dataclass(frozen=True, slots=True, eq=False)
class Assessed:
    """Verdicts (B,) uint8 on B queries, with the numbers that they follow from.

    `causes` (B,) uint8 are bits of `queen.method.ledger.Cause`, `sqs` (B,) float32. `facts`
    (B,) are of `queen.method.facts.FACTS`, zeros if the client does not ask for them. Some
    rows may have NO_VERDICT, and zeros; then `problem` says why.
    """

    verdicts: NDArray[np.uint8]
    causes: NDArray[np.uint8]
    sqs: SingleArray
    facts: FactArray
    problem: DependencyUnavailable | None = None

    def take(self, rows: NDArray[np.bool_]) -> Assessed:
        """What there is about some rows, each with a verdict."""
        names = (field.name for field in fields(self) if field.name != "problem")
        return Assessed(**{name: getattr(self, name)[rows] for name in names})


class Assessor(Protocol):
    """Gives verdicts: one sensitivity service, or its replicas."""

    async def assess(
        self,
        accounts: Sequence[Account],
        account_index: NDArray[np.uint32],
        labels: NDArray[np.int64],
        embeddings: SingleArray,
        timeout_seconds: float,
    ) -> Assessed:
        """Verdicts on B queries; DependencyUnavailable if there are none at all in time."""


class SensitivityClient:
    """Assess, in NumPy terms."""

    def __init__(
        self,
        peer: Callee,
        bundle_digest: str,
        default_profile: Profile,
        *,
        with_facts: bool = False,
    ) -> None:
        self._peer = peer
        self._digest = bundle_digest
        self._default_profile = default_profile
        self._with_facts = with_facts
        self._assess: Call = sensitivity_pb2_grpc.SensitivityServiceStub(peer.channel).Assess

    async def assess(
        self,
        accounts: Sequence[Account],
        account_index: NDArray[np.uint32],
        labels: NDArray[np.int64],
        embeddings: SingleArray,
        timeout_seconds: float,
    ) -> Assessed:
        """Verdicts on B queries; DependencyUnavailable if there are none in time."""
        # While accounts.yaml is swapped, accounts of one group may come with two budgets;
        # sensitivity takes one.
        group_budgets = {account.group: account.group_budget for account in accounts}
        request = sensitivity_pb2.AssessRequest(
            bundle_digest=self._digest,
            accounts=[self._policy(account, group_budgets) for account in accounts],
            account_index=tensor_bytes(account_index, "<u4"),
            labels=tensor_bytes(labels, "<i4"),
            embeddings=tensor_bytes(embeddings),
            with_facts=self._with_facts,
        )
        response = await self._peer.call(self._assess, request, timeout_seconds)
        try:
            return _read_assessed(response, len(labels), with_facts=self._with_facts)
        except ShapeMismatch as error:
            raise DependencyUnavailable(f"{SENSITIVITY}: {error}") from error

    def _policy(
        self, account: Account, group_budgets: Mapping[str | None, int | None]
    ) -> sensitivity_pb2.AccountPolicy:
        scope = SCOPES[account.profile or self._default_profile]
        return sensitivity_pb2.AccountPolicy(
            account_id=account.account_id,
            budget=account.budget or 0,
            scope=sensitivity_pb2.Scope.Name(scope),
            group=account.group or "",
            group_budget=group_budgets[account.group] or 0,
            exempt=account.is_exempt,
        )


class PerturberClient:
    """Reverse, in NumPy terms."""

    def __init__(self, peer: Callee, bundle_digest: str) -> None:
        self._peer = peer
        self._digest = bundle_digest
        self._max_message_bytes = peer.max_message_bytes
        self._reverse: Call = perturber_pb2_grpc.PerturberServiceStub(peer.channel).Reverse

    async def reverse(
        self,
        profiles: NDArray[np.uint8],
        shadow_inputs: NDArray[Any],
        probabilities: SingleArray,
        embeddings: SingleArray,
        sketches: NDArray[Any],
        balanced_l1: float,
        timeout_seconds: float,
    ) -> SingleArray:
        """Answers (B, C) to B flagged queries; DependencyUnavailable if there are none in time.

        In several calls where one would be larger than the perturber takes; a row's answer
        does not depend on the others of its call.
        """
        arrays: tuple[NDArray[Any], ...] = (
            *(profiles, shadow_inputs, probabilities),
            *(embeddings, sketches),
        )
        row_bytes = 4 * sum(array[0].size for array in arrays)
        # A share is left for the message around the numbers, of at most 4 bytes each.
        size = max(1, int(0.9 * self._max_message_bytes) // row_bytes)
        starts = range(0, len(profiles), size)
        parts = await asyncio.gather(
            *(
                self._reverse_part(
                    *(array[start : start + size] for array in arrays),
                    balanced_l1=balanced_l1,
                    timeout_seconds=timeout_seconds,
                )
                for start in starts
            )
        )
        return np.concatenate(parts)

    async def _reverse_part(
        self,
        profiles: NDArray[np.uint8],
        shadow_inputs: NDArray[Any],
        probabilities: SingleArray,
        embeddings: SingleArray,
        sketches: NDArray[Any],
        *,
        balanced_l1: float,
        timeout_seconds: float,
    ) -> SingleArray:
        request = perturber_pb2.ReverseRequest(
            bundle_digest=self._digest,
            profiles=tensor_bytes(profiles, "u1"),
            shadow_inputs=tensor_bytes(_within_single(shadow_inputs)),
            probabilities=tensor_bytes(probabilities),
            embeddings=tensor_bytes(embeddings),
            sketches=tensor_bytes(_within_single(sketches)),
            balanced_l1=balanced_l1,
        )
        response = await self._peer.call(self._reverse, request, timeout_seconds)
        try:
            return read_tensor(
                response.probabilities, "<f4", probabilities.shape, "ReverseResponse.probabilities"
            )
        except ShapeMismatch as error:
            raise DependencyUnavailable(f"{PERTURBER}: {error}") from error


def _read_assessed(
    response: sensitivity_pb2.AssessResponse, rows: int, *, with_facts: bool
) -> Assessed:
    verdicts = read_tensor(response.verdicts, "u1", (rows,), "AssessResponse.verdicts")
    if ((verdicts < Verdict.PRESERVE) | (verdicts > Verdict.REVERSE)).any():
        raise ShapeMismatch("AssessResponse.verdicts: expected 1, 2 or 3, got another number")
    causes = read_tensor(response.causes, "u1", (rows,), "AssessResponse.causes")
    sqs = read_tensor(response.sqs, "<f4", (rows,), "AssessResponse.sqs")
    facts = read_facts(response.facts, rows) if with_facts else np.zeros(rows, FACTS)
    return Assessed(verdicts, causes, sqs, facts)


def _within_single(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers that are finite in float32: one row of huge FP64 must not fail its neighbours."""
    largest = np.finfo(np.float32).max
    return np.clip(values, -largest, largest) if values.dtype == np.float64 else values
