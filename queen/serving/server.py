"""The process of a service: it loads settings, serves, drains and exits."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from queen.errors import ConfigError, QueenError
from queen.serving.edge.calls import CallLimits, CallsInWork
from queen.serving.edge.descriptors import most_connections
from queen.serving.edge.grpc_server import GrpcServer
from queen.serving.edge.metrics_endpoint import MetricsEndpoint
from queen.serving.health import Health, add_health
from queen.serving.interceptors import TRUSTING, Edge, Gate, ObservedServer, Terms, admit_strangers
from queen.serving.lasting.tasks import Lasting
from queen.serving.logging import (
    configure_logging,
    drain_logging,
    log_file_over,
    logger,
)
from queen.serving.logs.descriptors import raise_limit
from queen.serving.logs.rotating_file import RotatingFile
from queen.serving.metrics import Metrics
from queen.serving.ports.credentials import server_credentials
from queen.serving.ports.place import Place
from queen.serving.settings import InnerSettings, ServiceSettings
from queen.serving.settings_sources import load_settings, require_no_password

S = TypeVar("S", bound=ServiceSettings)
PortName = Literal["main", "admin", "health"]
_PORT_NAMES: tuple[PortName, ...] = ("main", "admin", "health")
_REFUSING_SECONDS = 0.1
_LAST_SECONDS = 1.0
"""Time that a server gets to end the calls that it has cancelled."""
CLOSING_SECONDS = 10.0
"""Time that the objects of a service get to close after the drain."""
_STRANGERS = Terms(admit_strangers)
_HEALTH_MESSAGE_BYTES = 4096
_FEW_CALLS = 256
"""Most calls in work on a port that serves operators or probes alone."""
EXIT_DIED = 1
"""Exit code of a process in which work that never ends has died."""
EXIT_REFUSED = 2
"""Exit code of a process that refuses to start."""
EXIT_STUCK = 70
"""Exit code of a process that had to end itself, since it could not stop."""


@dataclass(frozen=True)
class Offer:
    """A gRPC service to serve: its full name, and the function that adds its servicer.

    `on` names the port; only a service whose settings have `admin_port` offers on "admin".
    `terms` say who may call, and how large a message may be.
    """

    name: str
    add: Callable[[Any], None]
    on: PortName = "main"
    terms: Terms = TRUSTING


@dataclass(frozen=True)
class Shell:
    """The parts of the process that a service's wiring may use.

    Metrics, health, and the supervision of work that lasts as long as the process.
    """

    metrics: Metrics
    health: Health
    lasting: Lasting = field(default_factory=Lasting)


Wire = Callable[[S, Shell], AbstractAsyncContextManager[Sequence[Offer]]]
"""A service's wiring: builds all objects, yields its offers, closes the objects after the drain."""


def run_service(
    name: str, settings_type: type[S], wire: Wire[S], argv: Sequence[str] | None = None
) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    0 after a drain; 1 after the drain that follows if work that never ends has died; 2, with one
    sentence on stderr, if settings, bundle, key file or port do not allow a start; 70 if the
    process does not come to its end after the drain. Nothing serves until everything can.
    """
    deadline = _Deadline()
    try:
        flags = require_no_password(sys.argv[1:] if argv is None else argv)
        settings = load_settings(settings_type, flags)
        configure_logging(name, settings.log_level, _log_file(settings))
        raise_limit()
        return asyncio.run(_serve_until_signalled(settings, wire, deadline))
    except QueenError as error:
        sys.stderr.write(f"queen {name}: {error}\n")
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        deadline.cancel()
        drain_logging()


def _log_file(settings: ServiceSettings) -> RotatingFile | None:
    if settings.log_file is None:
        return None
    return log_file_over(settings.log_file, settings.log_max_bytes, settings.log_kept)


async def _serve_until_signalled(settings: S, wire: Wire[S], deadline: _Deadline) -> int:
    log = logger("server")
    async with running(settings, wire) as process:
        stop = _stop_event()
        # These objects live until the exit: the garbage collector need not visit them again and
        # again.
        gc.collect()
        gc.freeze()
        log.info("serving", **process.addresses, settings=settings.describe_effective())
        await _first_of(stop.wait(), process.shell.lasting.death())
        log.info("draining")
        deadline.begin(settings.prestop_seconds + settings.drain_seconds + CLOSING_SECONDS)
    log.info("stopped")
    return EXIT_DIED if process.shell.lasting.dead else 0


class _Deadline:
    """Ends the process if it does not end by itself: a thread may wait for a store for ever."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, seconds: float) -> None:
        """End the process with EXIT_STUCK after some seconds."""
        self._timer = threading.Timer(seconds, self._end, (seconds,))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """The process has come to its end."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, seconds: float) -> None:
        logger("server").error("stopping took too long; ending at once", seconds=seconds)
        drain_logging()
        os._exit(EXIT_STUCK)


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


@dataclass(frozen=True)
class Process:
    """A running service: its addresses ("address", "metrics", "admin") and its shell."""

    addresses: dict[str, str]
    shell: Shell


@asynccontextmanager
async def running(settings: S, wire: Wire[S]) -> AsyncIterator[Process]:
    """Serve inside the block and drain at its end; no signals, no exit.

    Raises QueenError, with nothing left open, if the service cannot start.
    """
    shell = Shell(Metrics(), Health())
    # Ports are checked before the bundle is read and any state is touched, and bound at the end.
    for on in _PORT_NAMES:
        _place(settings, on).require_free()
    async with AsyncExitStack() as stack:
        offers = await stack.enter_async_context(wire(settings, shell))
        ports = _Ports(settings, shell, Gate(), stack)
        ports.open_all(offers)
        await ports.start([offer.name for offer in offers])
        try:
            with _ready_file(settings.ready_file, ports.addresses):
                yield Process(ports.addresses, shell)
        finally:
            await ports.drain()


class _Ports:
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
        connections = most_connections(self._descriptors) if on == "main" else _FEW_CALLS
        server = GrpcServer(
            _options(self._settings, limits.message_bytes, connections),
            metrics.unknown_methods.inc,
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
        terms = TRUSTING if on == "health" else _STRANGERS
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


def _described(offers: Sequence[Offer], settings: ServiceSettings) -> Terms:
    """The terms of reflection: a caller that may not ask for a description gets none."""
    admits = [_terms_of(offer, settings).admit for offer in offers]
    return Terms(admits[0]) if admits and admits[0] else _STRANGERS


def _limits(settings: ServiceSettings, offers: Sequence[Offer], on: PortName) -> CallLimits:
    """The bounds on the calls of a port."""
    if on == "health":
        message_bytes = _HEALTH_MESSAGE_BYTES
    else:
        largest = settings.max_message_bytes
        message_bytes = max(offer.terms.message_bytes or largest for offer in offers)
    return CallLimits(
        settings.max_calls if on == "main" else _FEW_CALLS,
        settings.max_bytes_in_flight,
        message_bytes,
        settings.request_seconds,
        settings.answer_seconds,
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


def _stop_event() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for stopping in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stopping, stop.set)
    return stop


@contextmanager
def _ready_file(file: Path | None, addresses: dict[str, str]) -> Iterator[None]:
    """Keep the addresses in a file for as long as the service accepts calls."""
    if file is None:
        yield
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps({**addresses, "pid": os.getpid()}) + "\n")
        draft.replace(file)
    except OSError as error:
        raise ConfigError(f"ready file {file} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
