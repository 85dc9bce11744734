"""The servers of a process, one a port: bound, started and drained together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from queen.errors import QueenError
from queen.serving.edge.calls import CallLimits, CallsInWork
from queen.serving.edge.descriptors import most_connections
from queen.serving.edge.grpc_server import Counts, GrpcServer
from queen.serving.edge.metrics_endpoint import MetricsEndpoint
from queen.serving.edge.terms import TRUSTING, Caller, Gate, Terms, admit_strangers
from queen.serving.health import add_health
from queen.serving.interceptors import Edge, ObservedServer
from queen.serving.logs.descriptors import raise_limit
from queen.serving.ports.credentials import server_credentials
from queen.serving.ports.place import Place
from queen.serving.settings import InnerSettings, ServiceSettings
from queen.serving.shell import Offer, PortName, Shell

_PORT_NAMES: tuple[PortName, ...] = ("main", "admin", "health")
_REFUSING_SECONDS = 0.1
_LAST_SECONDS = 1.0
"""Time that a server gets to end the calls that it has cancelled."""
_STRANGERS = Terms(admit_strangers)
_HEALTH_MESSAGE_BYTES = 4096
_HEALTH_SECONDS = 1.0
"""Longest time on the port of probes that a message may take, or an answer may be left unread."""
_FEW_CALLS = 256
"""Most calls in work on a port that serves operators or probes alone."""


def require_free_ports(settings: ServiceSettings) -> None:
    """ConfigError, naming the flag, if a service of these settings cannot listen on a port."""
    for on in _PORT_NAMES:
        _place(settings, on).require_free()


class Servers:
    """The servers of a process and their addresses; `stack` closes the servers in every case."""

    def __init__(
        self, settings: ServiceSettings, shell: Shell, gate: Gate, stack: AsyncExitStack
    ) -> None:
        self._settings = settings
        self._shell = shell
        self._gate = gate
        self._stack = stack
        self._servers: list[GrpcServer] = []
        self._calls: list[CallsInWork] = []
        self._descriptors = raise_limit()
        self.addresses: dict[str, str] = {}

    def open_all(self, offers: Sequence[Offer]) -> None:
        """Bind every port before any serves; ConfigError if a port is in use."""
        self.addresses["address"] = self._open(offers, "main")
        if any(offer.on == "admin" for offer in offers):
            self.addresses["admin"] = self._open(offers, "admin")
        if self._settings.health_port >= 0:
            self.addresses["health"] = self._open((), "health")
        host, metrics_port = self._settings.metrics_host, self._settings.metrics_port
        if metrics_port >= 0:
            endpoint = MetricsEndpoint(self._shell.metrics.registry, host, metrics_port)
            self._stack.callback(endpoint.close)
            self.addresses["metrics"] = endpoint.address

    def _open(self, offers: Sequence[Offer], on: PortName) -> str:
        offers = [offer for offer in offers if offer.on == on]
        limits = _limits(self._settings, offers, on)
        metrics = self._shell.metrics
        connections = _FEW_CALLS
        if on == "main":
            connections = min(self._settings.max_connections, most_connections(self._descriptors))
        server = GrpcServer(
            _options(self._settings, limits.message_bytes, connections),
            Counts(
                metrics.unknown_methods.inc,
                metrics.dropped["calls"].inc,
                metrics.dropped["headers"].inc,
            ),
        )
        self._stack.push_async_callback(_stop, server, None)
        self._servers.append(server)
        loop = asyncio.get_running_loop()
        calls = CallsInWork(
            limits, lambda why: metrics.dropped[why].inc(), loop.time, loop.call_later
        )
        self._calls.append(calls)
        for offer in offers:
            terms = _terms_of(offer, self._settings)
            offer.add(ObservedServer(server, metrics, Edge(calls, self._gate, terms)))
        # Health is told during the drain as well.
        terms = TRUSTING if on == "health" else _welcoming(offers, self._settings)
        always = ObservedServer(server, metrics, Edge(calls, Gate(), terms))
        add_health(self._shell.health, always)
        if on != "health":
            names = [*(offer.name for offer in offers), HEALTH_NAME, reflection.SERVICE_NAME]
            described = Edge(calls, self._gate, _described(offers, self._settings))
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
                ReflectionServicer(names), ObservedServer(server, metrics, described)
            )
        where, files = _place(self._settings, on), self._settings.tls_files
        credentials = None
        if files is not None and where.socket is None and on != "health":
            credentials = server_credentials(files, metrics)
        return where.bind(server, credentials)

    async def start(self, names: Sequence[str]) -> None:
        """Accept calls, then report readiness."""
        metrics, calls = self._shell.metrics, self._calls
        metrics.calls_in_work.set_function(lambda: sum(len(of_port) for of_port in calls))
        metrics.bytes_in_flight.set_function(lambda: sum(of_port.held for of_port in calls))
        for server in self._servers:
            await server.start()
        self._shell.health.begin(names)

    async def drain(self) -> None:
        """Report NOT_SERVING, wait for load balancers, let calls in flight finish.

        Every step has a time limit, and none waits for a caller.
        """
        self._shell.health.drain()
        await asyncio.sleep(self._settings.prestop_seconds)
        self._gate.is_open = False
        await asyncio.sleep(_REFUSING_SECONDS)
        self._shell.health.end_watches()
        grace = self._settings.drain_seconds
        await asyncio.gather(*(_stop(server, grace) for server in self._servers))


async def _stop(server: GrpcServer, grace: float | None) -> None:
    """Stop a server; its calls are cancelled after `grace` seconds, and then soon abandoned."""
    with suppress(TimeoutError):
        await asyncio.wait_for(server.stop(grace), (grace or 0.0) + _LAST_SECONDS)


def _terms_of(offer: Offer, settings: ServiceSettings) -> Terms:
    """An offer's own terms; where it has none, those of a service that the front door calls."""
    admitted = settings.admitted if isinstance(settings, InnerSettings) else None
    if offer.on != "main" or offer.terms.admit is not None or admitted is None:
        return offer.terms
    return replace(offer.terms, admit=admitted.admit, is_trusting=True)


def _welcoming(offers: Sequence[Offer], settings: ServiceSettings) -> Terms:
    """The terms of health: all may ask, and who shows a credential has a share of their own."""
    terms = _terms_of(offers[0], settings) if offers else TRUSTING
    admit = terms.admit
    if admit is None:
        return _STRANGERS

    def welcome(method: str, context: Any) -> Caller | None:
        try:
            return admit(method, context)
        except QueenError:
            return None

    return Terms(welcome, is_quick=terms.is_quick)


def _described(offers: Sequence[Offer], settings: ServiceSettings) -> Terms:
    """The terms of reflection: a caller that may not ask for a description gets none."""
    admits = [_terms_of(offer, settings).admit for offer in offers]
    return Terms(admits[0]) if admits and admits[0] else _STRANGERS


def _limits(settings: ServiceSettings, offers: Sequence[Offer], on: PortName) -> CallLimits:
    """The bounds on the calls of a port."""
    seconds = inf
    if on == "health":
        message_bytes, seconds = _HEALTH_MESSAGE_BYTES, _HEALTH_SECONDS
    else:
        largest = settings.max_message_bytes
        message_bytes = max(offer.terms.message_bytes or largest for offer in offers)
    return CallLimits(
        settings.max_calls if on == "main" else _FEW_CALLS,
        settings.max_bytes_in_flight,
        message_bytes,
        min(settings.request_seconds, seconds),
        min(settings.answer_seconds, seconds),
        gives_way=on == "health",
    )


def _place(settings: ServiceSettings, on: PortName) -> Place:
    """The place to listen on; port 0 is a free one."""
    if on == "main":
        return Place(settings.host, settings.port, "--port", settings.socket)
    if on == "health":
        return Place(settings.host, max(settings.health_port, 0), "--health-port")
    host = str(getattr(settings, "admin_host", settings.host))
    socket: Path | None = getattr(settings, "admin_socket", None)
    return Place(host, int(getattr(settings, "admin_port", 0)), "--admin-port", socket)


def _options(
    settings: ServiceSettings, message_bytes: int, connections: int
) -> list[tuple[str, int]]:
    return [
        # Of a compressed message this is the size of its content.
        ("grpc.max_receive_message_length", message_bytes),
        # Two servers on one port would share its calls at random: the second must fail instead.
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", settings.max_streams),
        # What a connection may send before it is read; the window would grow with the link.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # A client that pings more often is told to go.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        # Who connects must begin to speak, and who is silent must go.
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.max_connection_idle_ms", round(1000 * settings.idle_seconds)),
        ("grpc.max_allowed_incoming_connections", connections),
        # Connections end after a while, so that clients of a headless Service find new replicas.
        ("grpc.max_connection_age_ms", 20 * 60_000),
        ("grpc.max_connection_age_grace_ms", 60_000),
    ]
