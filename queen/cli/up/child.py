"""A process of a deployment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from queen.serving.lasting.parent import ends_with_parent

POLL_SECONDS = 0.05
"""Time between two checks for a ready file."""

Ready = dict[str, Any]
"""The content of a service's ready file: addresses by name, and its process id."""


@dataclass
class Child:
    """A process of a service: the command line and the log to start it with, and its state."""

    name: str
    argv: Callable[[Ready | None], Sequence[str]]
    """Command line, given the ready file of the process before (None at the first start)."""
    log: Path
    ready_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides those of this process: a command line is visible to every user."""
    process: asyncio.subprocess.Process | None = None
    ready: Ready | None = None
    """The ready file of the last time the process served, so that a restart gets the same ports."""
    is_serving: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the process exists and has not ended."""
        return self.process is not None and self.process.returncode is None

    @property
    def pid(self) -> int | None:
        """Process id, if the process was ever started."""
        return self.process.pid if self.process else None

    @property
    def exit_code(self) -> int | None:
        """Exit code, or a negative signal number; None while the process runs."""
        return self.process.returncode if self.process else None

    async def start(self) -> None:
        """Start the process, its output into the log."""
        # A process that was killed leaves its ready file, which would say that it serves.
        self.ready_file.unlink(missing_ok=True)
        self.is_serving = False
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv(self.ready),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                # A Ctrl-C at the terminal must reach `queen up` only, which stops the services in
                # order.
                start_new_session=True,
                preexec_fn=ends_with_parent(),
            )

    async def serves(self) -> bool:
        """Wait until the process serves, True, or ends, False."""
        while self.is_running:
            if self.ready_file.exists():
                self.ready = json.loads(self.ready_file.read_text())
                self.is_serving = True
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def ended(self) -> None:
        """Wait until the process has ended."""
        if self.process is not None:
            await self.process.wait()

    def send(self, kind: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.process is not None and self.is_running:
            # Process.send_signal is avoided: it may collect the exit code that asyncio waits for.
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, kind)

    def last_words(self) -> str:
        """The sentence with which the process ended, from its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return last_sentence(text) or f"it {ending(self.exit_code)}"


def last_sentence(log: str) -> str | None:
    """The last sentence in a log: a plain line, or the text of a JSON line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith("{")]
    if plain:
        return plain[-1]
    return _message(lines[-1]) if lines else None


def ending(code: int | None) -> str:
    """Words for the end of a process."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _message(line: str) -> str:
    try:
        content = json.loads(line)
    except ValueError:
        return line
    return str(content.get("error") or content.get("msg") or line)
