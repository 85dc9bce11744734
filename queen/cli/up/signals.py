"""Signals of the operator, and of children that end, as something to wait on."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Takes over SIGINT, SIGTERM, SIGHUP and SIGCHLD while it is entered (main thread only)."""

    def __init__(self) -> None:
        self.count = 0
        """Requests to stop so far."""
        self._previous: dict[signal.Signals, Any] = {}
        self._wakeup, self._written = socket.socketpair()

    @property
    def stopping(self) -> bool:
        """Whether the operator asked to stop."""
        return self.count > 0

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`, or until a signal comes."""
        ready, _, _ = select.select([self._wakeup], [], [], seconds)
        if ready:
            self._wakeup.recv(4096)

    def __enter__(self) -> Self:
        for end in (self._wakeup, self._written):
            end.setblocking(False)
        signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            self._previous[number] = signal.signal(number, self._ask)
        # A handler of any kind makes a child's end wake `wait`.
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._wakeup.close()
        self._written.close()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
