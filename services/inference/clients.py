"""The two peers, as the front door sees them: calls with deadlines, and probed health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from queen.api.v1 import (
    perturber_pb2,
    perturber_pb2_grpc,
    sensitivity_pb2,
    sensitivity_pb2_grpc,
)
from queen.errors import ConfigError, DependencyUnavailable, ShapeMismatch
from queen.method.contracts import SCOPES, Profile
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from queen.serving.logging import logger
from queen.wire import read_tensor, tensor_bytes

SENSITIVITY = "queen.api.v1.SensitivityService"
PERTURBER = "queen.api.v1.PerturberService"

SingleArray = NDArray[np.float32]
Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Assessed:
    """Verdicts (B,) uint8, and what they follow from, (B,) float32 each.

    `causes` (B,) uint8 are bits of `queen.method.ledger.Cause`.
    """

    verdicts: NDArray[np.uint8]
    distances: SingleArray
    sqs: SingleArray
    cqs_before: SingleArray
    cqs_after: SingleArray
    causes: NDArray[np.uint8]


class Peer:
    """One peer service: its channel, whether it serves, and its failures in one type."""

    def __init__(self, target: str, service: str, max_message_bytes: int) -> None:
        self.service = service
        self.max_message_bytes = max_message_bytes
        self.is_up = False
        self.channel = grpc.aio.insecure_channel(
            _plain(target), options=_options(service, max_message_bytes)
        )
        self._health = health_pb2_grpc.HealthStub(self.channel)
        self._log = logger("peer").bind(peer=service)
        self._failure = ""

    async def call(self, method: Call, request: Any, timeout_seconds: float) -> Any:
        """The response; DependencyUnavailable for whatever else happens.

        A peer that failed its last probe is not tried: waiting for it would hold the queue.
        """
        if not self.is_up:
            raise DependencyUnavailable(f"{self.service} is not serving")
        if timeout_seconds <= 0:
            raise DependencyUnavailable(f"no time is left to ask {self.service}")
        try:
            return await method(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            self._failed(error)
            raise DependencyUnavailable(f"{self.service}: {error.code().name}") from error

    async def probe(self, timeout_seconds: float) -> bool:
        """Ask the peer's health, remember it and return it."""
        request = health_pb2.HealthCheckRequest(service=self.service)
        try:
            response = await self._health.Check(request, timeout=timeout_seconds)
            serving = bool(response.status == health_pb2.HealthCheckResponse.SERVING)
        except grpc.aio.AioRpcError:
            serving = False
        if serving is not self.is_up:
            self._log.warning("peer serves" if serving else "peer is out of reach")
        self.is_up = serving
        return serving

    def _failed(self, error: grpc.aio.AioRpcError) -> None:
        code = error.code()
        if code is grpc.StatusCode.UNAVAILABLE:
            # Its retries are spent; the next probe says when it is back.
            self.is_up = False
        if code.name != self._failure:
            # Once for each kind in a row: failures come at the rate of the traffic.
            self._failure = code.name
            self._log.warning("peer call failed", code=code.name, text=error.details())


class SensitivityClient:
    """Assess, in NumPy terms."""

    def __init__(self, peer: Peer, bundle_digest: str, default_profile: Profile) -> None:
        self._peer = peer
        self._digest = bundle_digest
        self._default_profile = default_profile
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
        )
        response = await self._peer.call(self._assess, request, timeout_seconds)
        try:
            return _read_assessed(response, len(labels))
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

    def __init__(self, peer: Peer, bundle_digest: str) -> None:
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


async def watch_peers(
    peers: Sequence[Peer], seconds: float, seen: Callable[[Peer], Awaitable[None]]
) -> None:
    """Probe every peer each so many seconds, for ever, and tell `seen` of each result."""

    async def watch(peer: Peer) -> None:
        while True:
            await peer.probe(timeout_seconds=seconds)
            await seen(peer)
            await asyncio.sleep(seconds)

    await asyncio.gather(*(watch(peer) for peer in peers))


def _read_assessed(response: sensitivity_pb2.AssessResponse, rows: int) -> Assessed:
    verdicts = read_tensor(response.verdicts, "u1", (rows,), "AssessResponse.verdicts")
    if ((verdicts < Verdict.PRESERVE) | (verdicts > Verdict.REVERSE)).any():
        raise ShapeMismatch("AssessResponse.verdicts: expected 1, 2 or 3, got another number")
    distances, sqs, before, after = (
        read_tensor(getattr(response, name), "<f4", (rows,), f"AssessResponse.{name}")
        for name in ("distances", "sqs", "cqs_before", "cqs_after")
    )
    causes = read_tensor(response.causes, "u1", (rows,), "AssessResponse.causes")
    return Assessed(verdicts, distances, sqs, before, after, causes)


def _within_single(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers that are finite in float32: one row of huge FP64 must not fail its neighbours."""
    largest = np.finfo(np.float32).max
    return np.clip(values, -largest, largest) if values.dtype == np.float64 else values


def _plain(target: str) -> str:
    if not target.strip():
        raise ConfigError("expected a gRPC target such as 127.0.0.1:8101, got an empty one")
    return target


def _options(service: str, max_message_bytes: int) -> list[tuple[str, Any]]:
    retry = {
        "maxAttempts": 3,
        "initialBackoff": "0.02s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        # Without it a replica that drains still gets its turn.
        "healthCheckConfig": {"serviceName": service},
        "methodConfig": [{"name": [{"service": service}], "retryPolicy": retry}],
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        # A peer that comes back is found within a second or two, not within two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    ]
