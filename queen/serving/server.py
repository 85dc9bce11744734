"""The process of a service: it loads settings, serves, drains and exits."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_reflection.v1alpha import reflection

from queen.errors import ConfigError, QueenError
from queen.serving.health import Health
from queen.serving.interceptors import Gate, ObservedServer
from queen.serving.lasting.tasks import Lasting
from queen.serving.logging import (
    configure_logging,
    drain_logging,
    log_file_over,
    logger,
)
from queen.serving.logs.descriptors import raise_limit
from queen.serving.logs.rotating_file import RotatingFile
from queen.serving.metrics import Metrics, MetricsEndpoint
from queen.serving.ports.credentials import server_credentials
from queen.serving.ports.place import Place
from queen.serving.settings import ServiceSettings
from queen.serving.settings_sources import load_settings, require_no_password

S = TypeVar("S", bound=ServiceSettings)
PortName = Literal["main", "admin"]
_PORT_NAMES: tuple[PortName, ...] = ("main", "admin")
_REFUSING_SECONDS = 0.1
EXIT_DIED = 1
"""Exit code of a process in which work that never ends has died."""
EXIT_REFUSED = 2
"""Exit code of a process that refuses to start."""


@dataclass(frozen=True)
class Offer:
    """A gRPC service to serve: its full name, and the function that adds its servicer.

    `on` names the port; only a service whose settings have `admin_port` offers on "admin".
    """

    name: str
    add: Callable[[Any], None]
    on: PortName = "main"


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
    sentence on stderr, if settings, bundle, key file or port do not allow a start. Nothing serves
    until everything can.
    """
    try:
        flags = require_no_password(sys.argv[1:] if argv is None else argv)
        settings = load_settings(settings_type, flags)
        configure_logging(name, settings.log_level, _log_file(settings))
        raise_limit()
        return asyncio.run(_serve_until_signalled(settings, wire))
    except QueenError as error:
        sys.stderr.write(f"queen {name}: {error}\n")
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        drain_logging()


def _log_file(settings: ServiceSettings) -> RotatingFile | None:
    if settings.log_file is None:
        return None
    return log_file_over(settings.log_file, settings.log_max_bytes, settings.log_kept)


async def _serve_until_signalled(settings: S, wire: Wire[S]) -> int:
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
    log.info("stopped")
    return EXIT_DIED if process.shell.lasting.dead else 0


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
        self._servers: list[grpc.aio.Server] = []
        self.addresses: dict[str, str] = {}

    def open_all(self, offers: Sequence[Offer]) -> None:
        """Bind every port before any serves; ConfigError if a port is in use."""
        self.addresses["address"] = self._open(offers, "main")
        if any(offer.on == "admin" for offer in offers):
            self.addresses["admin"] = self._open(offers, "admin")
        host, metrics_port = self._settings.metrics_host, self._settings.metrics_port
        if metrics_port >= 0:
            endpoint = MetricsEndpoint(self._shell.metrics, host, metrics_port)
            self._stack.callback(endpoint.close)
            self.addresses["metrics"] = endpoint.address

    def _open(self, offers: Sequence[Offer], on: PortName) -> str:
        offers = [offer for offer in offers if offer.on == on]
        server = grpc.aio.server(options=_options(self._settings))
        self._stack.push_async_callback(server.stop, None)
        self._servers.append(server)
        observed = ObservedServer(server, self._shell.metrics, self._gate)
        for offer in offers:
            offer.add(observed)
        health_pb2_grpc.add_HealthServicer_to_server(self._shell.health, server)
        names = [offer.name for offer in offers]
        reflection.enable_server_reflection([*names, HEALTH_NAME, reflection.SERVICE_NAME], server)
        where, files = _place(self._settings, on), self._settings.tls_files
        credentials = None
        if files is not None and where.socket is None:
            credentials = server_credentials(files, self._shell.metrics)
        return where.bind(server, credentials)

    async def start(self, names: Sequence[str]) -> None:
        """Accept calls, then report readiness."""
        for server in self._servers:
            await server.start()
        await self._shell.health.begin(names)

    async def drain(self) -> None:
        """Report NOT_SERVING, wait for load balancers, let calls in flight finish."""
        await self._shell.health.drain()
        await asyncio.sleep(self._settings.prestop_seconds)
        self._gate.is_open = False
        await asyncio.sleep(_REFUSING_SECONDS)
        self._shell.health.end_watches()
        grace = self._settings.drain_seconds
        await asyncio.gather(*(server.stop(grace) for server in self._servers))


def _place(settings: ServiceSettings, on: PortName) -> Place:
    """The place to listen on; port 0 is a free one."""
    if on == "main":
        return Place(settings.host, settings.port, "--port", settings.socket)
    host = str(getattr(settings, "admin_host", settings.host))
    socket: Path | None = getattr(settings, "admin_socket", None)
    return Place(host, int(getattr(settings, "admin_port", 0)), "--admin-port", socket)


def _options(settings: ServiceSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # Two servers on one port would share its calls at random: the second must fail instead.
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", 1024),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
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
