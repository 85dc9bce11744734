"""A peer service: calls to it with deadlines, its probed health, and the clock for its delays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Any, Literal, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.errors import (
    BundleMismatch,
    DependencyUnavailable,
    PeerOverloaded,
    PeerUnavailable,
    SecretMismatch,
)
from queen.serving.lasting.tasks import Lasting
from queen.serving.logging import logger
from queen.serving.status import reason_in
from queen_inference.peers.dialing import PLAINTEXT, Dialer, FollowingChannel
from queen_inference.peers.endpoints import require_stated
from queen_inference.peers.inquiry import Inquiry

Call = Callable[..., Awaitable[Any]]
TICK_SECONDS = 0.01
"""Precision of the loop clock."""
HEARD_SHARE = 0.25
"""Share of a timeout that the event loop must have listened for the timeout to blame the peer."""
_REFUSALS = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
"""Codes of a peer that is full, and of one that does not take what it was sent."""

_Heard = Literal["serves", "fails", "late", "unheard"]
"""The outcome of a probe: the peer serves or does not, told nothing in time, or nothing because
this process did not listen long enough to know."""


class LoopClock:
    """Counts the seconds during which the event loop could have received an answer.

    Callers who send enough keep the loop busy, and make every peer look late. A peer's delay
    is therefore measured with this clock: a turn of the loop counts at most two ticks, however
    long it lasted.
    """

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> float:
        """Seconds counted so far, to a tick."""
        return self._seconds

    def running(self, lasting: Lasting) -> AbstractAsyncContextManager[None]:
        """Let the clock run inside the block."""
        return lasting.running("loop clock", self._tick())

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            self._seconds += min(now - before, 2 * TICK_SECONDS)
            before = now


class Callee(Protocol):
    """A service that a client calls: a peer, or a servicer in the same process."""

    @property
    def channel(self) -> Any:
        """The channel that a stub is made with."""

    @property
    def max_message_bytes(self) -> int:
        """Bytes of the largest message that the service accepts."""

    async def call(self, method: Call, request: Any, timeout_seconds: float, /) -> Any:
        """The response; DependencyUnavailable if there is none in time."""


class Probed(Protocol):
    """A service whose health is probed: a peer, or the replicas of a service."""

    service: str

    @property
    def is_up(self) -> bool:
        """Whether the service served when it was last heard of."""

    @property
    def problem(self) -> str:
        """Words for what the last probe met."""

    async def probe(self, timeout_seconds: float) -> bool:
        """Ask for the service's health, remember it, and return whether the service serves."""

    async def close(self) -> None:
        """Close the channels to the service."""


class Peer:
    """A peer service: its channel, whether it serves, and its failures as DependencyUnavailable.

    With `retries` the channel repeats a call that was UNAVAILABLE; without, the caller may.
    `clock`, in seconds, tells how long this process has listened for a late answer.
    """

    def __init__(
        self,
        target: str,
        service: str,
        max_message_bytes: int,
        *,
        retries: bool = True,
        clock: Callable[[], float] = monotonic,
        dialer: Dialer = PLAINTEXT,
    ) -> None:
        self.service = service
        self.max_message_bytes = max_message_bytes
        self.is_up = False
        self.problem = "it was not asked yet"
        self.inquiry: Inquiry | None = None
        """Asked with every probe, if there is one: a peer that fails it does not serve."""
        options = _options(service, max_message_bytes, retries=retries)
        self.channel = FollowingChannel(dialer, require_stated(target), options)
        self._is_known = False
        self._was_late = False
        self._log = logger("peer").bind(peer=service, target=target)
        self._failure = ""
        self._clock = clock

    async def call(self, method: Call, request: Any, timeout_seconds: float) -> Any:
        """The response; DependencyUnavailable if there is none in time.

        A peer that failed its last probe is not called: waiting for it would hold the queue.
        Such a peer, UNAVAILABLE, another bundle and another secret are PeerUnavailable. A full
        queue at the peer, a request that it does not take, and a timeout in which this process did
        not listen are PeerOverloaded.
        """
        if not self.is_up:
            raise PeerUnavailable(f"{self.service} is not serving")
        if timeout_seconds <= 0:
            raise DependencyUnavailable(f"no time is left to ask {self.service}")
        began = self._clock()
        try:
            return await method(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            is_unheard = self._clock() - began < HEARD_SHARE * timeout_seconds
            raise self._failed(error, is_unheard=is_unheard) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The channel was closed under the call: the endpoint has left.
            raise PeerUnavailable(f"{self.service} has left") from error

    async def probe(self, timeout_seconds: float) -> bool:
        """Ask the peer's health, remember it and return it.

        A peer that serves and answers too late once serves on: it may have had a busy moment, and
        the failure mode would answer in its place. A second late probe in a row ends that. A
        change of the PEM files is noticed here, and the channel opened anew.
        """
        heard = await self._ask_health(self.channel.current, timeout_seconds)

        async def serves(channel: grpc.aio.Channel) -> bool:
            return await self._ask_health(channel, timeout_seconds) == "serves"

        if await self.channel.renew(serves):
            self._log.info("peer is called with renewed PEM files")
            heard = "serves"
        if heard == "unheard":
            return self.is_up
        is_excused = heard == "late" and not self._was_late
        self._was_late = heard == "late"
        if is_excused and self.is_up:
            return True
        serving = heard == "serves"
        if serving is not self.is_up or not self._is_known:
            if serving:
                self._log.warning("peer serves")
            else:
                self._log.warning("peer is out of reach", problem=self.problem)
        self.is_up, self._is_known = serving, True
        return serving

    async def _ask_health(self, channel: grpc.aio.Channel, timeout_seconds: float) -> _Heard:
        """Ask for the health of the peer, and for what its inquiry asks."""
        request = health_pb2.HealthCheckRequest(service=self.service)
        began = self._clock()
        try:
            check = health_pb2_grpc.HealthStub(channel).Check
            response = await check(request, timeout=timeout_seconds)
            serves = bool(response.status == health_pb2.HealthCheckResponse.SERVING)
            if serves and self.inquiry is not None:
                self.problem = await self.inquiry.ask(channel, timeout_seconds)
                return "fails" if self.problem else "serves"
        except grpc.aio.AioRpcError as error:
            is_late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if is_late and self._clock() - began < HEARD_SHARE * timeout_seconds:
                return "unheard"
            self.problem = f"{error.code().name}: {error.details()}"
            return "late" if is_late else "fails"
        states = health_pb2.HealthCheckResponse.ServingStatus
        self.problem = f"it says {states.Name(response.status)}"
        return "serves" if serves else "fails"

    async def close(self) -> None:
        """End the channel, and the calls on it."""
        self.is_up = False
        await self.channel.close()

    def _failed(self, error: grpc.aio.AioRpcError, *, is_unheard: bool) -> DependencyUnavailable:
        code, trailers = error.code(), error.trailing_metadata()
        reason = reason_in(trailers or ())
        # An error with a reason comes from the peer itself: it runs, but cannot reach something it
        # needs.
        if code is grpc.StatusCode.UNAVAILABLE and not reason:
            # The retries are used up; the next probe says when the peer is back.
            self.is_up = False
        if code.name != self._failure:
            # Only the first of several alike is logged: failures come at the rate of the traffic.
            self._failure = code.name
            self._log.warning("peer call failed", code=code.name, text=error.details())
        return _kind_of(code, reason, is_unheard=is_unheard)(f"{self.service}: {code.name}")


_MISMATCHES = (BundleMismatch.reason, SecretMismatch.reason)


def _kind_of(
    code: grpc.StatusCode, reason: str, *, is_unheard: bool
) -> type[DependencyUnavailable]:
    if code is grpc.StatusCode.UNAVAILABLE or reason in _MISMATCHES:
        return PeerUnavailable
    if is_unheard and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return PeerOverloaded
    # Callers choose how large a request is, and with it whether the peer takes it.
    return PeerOverloaded if code in _REFUSALS else DependencyUnavailable


def _options(service: str, max_message_bytes: int, *, retries: bool) -> list[tuple[str, Any]]:
    retry = {
        "maxAttempts": 3,
        "initialBackoff": "0.02s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    methods = [{"name": [{"service": service}], "retryPolicy": retry}] if retries else []
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        # Without the health check a replica that drains still gets calls.
        "healthCheckConfig": {"serviceName": service},
        "methodConfig": methods,
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        # A short backoff: a peer that comes back is noticed within a second or two, not two
        # minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        # gRPC also gives a connection this long to be made: a busy or distant peer needs the time.
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    ]
