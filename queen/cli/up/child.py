"""One process of a deployment."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Ready = dict[str, Any]
"""What a service writes into its ready file: addresses by name, and its process id."""


@dataclass
class Child:
    """How to start a process, and what is known of it while it runs."""

    name: str
    argv: Callable[[Ready | None], Sequence[str]]
    """Command line, given what the process last said when it was ready (None at first)."""
    log: Path
    ready_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides our own: what a command line would show to every user."""
    process: subprocess.Popen[bytes] | None = None
    ready: Ready | None = None
    """Of the last time it served; kept over a restart, which takes the same ports."""
    is_serving: bool = False
    started: float = 0.0
    failures: int = 0
    retry_at: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process exists and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id, if it was ever started."""
        return self.process.pid if self.process else None

    @property
    def exit_code(self) -> int | None:
        """How it ended: a code, or a negative signal number."""
        return self.process.poll() if self.process else None

    def start(self) -> None:
        """Start the process, its output into the log."""
        # A ready file of a process that was killed would lie.
        self.ready_file.unlink(missing_ok=True)
        self.is_serving, self.retry_at = False, None
        self.started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                self.argv(self.ready),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                # A Ctrl-C at the terminal is for us: we stop the services in order.
                start_new_session=True,
                preexec_fn=_follower(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )

    def take_ready(self) -> bool:
        """Whether the process serves; reads what it says of itself the first time it does."""
        if not self.is_serving and self.is_running and self.ready_file.exists():
            self.ready = json.loads(self.ready_file.read_text())
            self.is_serving = True
        return self.is_serving

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.process is not None and self.is_running:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End the process at once and wait until it has ended."""
        if self.process is not None:
            self.send(signal.SIGKILL)
            self.process.wait()

    def last_words(self) -> str:
        """The sentence with which the process ended, from its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return last_sentence(text) or f"it {ending(self.exit_code)}"


def last_sentence(log: str) -> str | None:
    """The last thing that a log says to people: a plain line, or the text of a JSON line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith("{")]
    if plain:
        return plain[-1]
    return _message(lines[-1]) if lines else None


def ending(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _message(line: str) -> str:
    try:
        content = json.loads(line)
    except ValueError:
        return line
    return str(content.get("error") or content.get("msg") or line)


def _follower(parent: int) -> Callable[[], None]:
    """What a new process does before it becomes the service: tie its life to ours.

    It gets SIGTERM when we end, however we end, and drains as usual. Linux only: elsewhere
    a killed `queen up` leaves its services behind.
    """

    def follow() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            # We may have ended between the fork and the call.
            if os.getppid() != parent:
                os._exit(1)

    return follow
