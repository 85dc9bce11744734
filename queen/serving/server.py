"""The process of a service: it loads settings, serves, drains and exits."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from queen.errors import ConfigError, QueenError
from queen.serving.edge.terms import Gate
from queen.serving.health import Health
from queen.serving.logging import (
    configure_logging,
    drain_logging,
    log_file_over,
    logger,
)
from queen.serving.logs.descriptors import raise_limit
from queen.serving.logs.rotating_file import RotatingFile
from queen.serving.metrics import Metrics
from queen.serving.ports.servers import Servers, require_free_ports
from queen.serving.settings import ServiceSettings
from queen.serving.settings_sources import load_settings, require_no_password
from queen.serving.shell import S, Shell, Wire

CLOSING_SECONDS = 10.0
"""Time that the objects of a service get to close after the drain."""
EXIT_DIED = 1
"""Exit code of a process in which work that never ends has died."""
EXIT_REFUSED = 2
"""Exit code of a process that refuses to start."""
EXIT_STUCK = 70
"""Exit code of a process that had to end itself, since it could not stop."""


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
    require_free_ports(settings)
    async with AsyncExitStack() as stack:
        offers = await stack.enter_async_context(wire(settings, shell))
        servers = Servers(settings, shell, Gate(), stack)
        servers.open_all(offers)
        await servers.start([offer.name for offer in offers])
        try:
            with _ready_file(settings.ready_file, servers.addresses):
                yield Process(servers.addresses, shell)
        finally:
            await servers.drain()


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
