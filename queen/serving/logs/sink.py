"""The way of a log line to its file or stream: nobody waits for it, and no failure of it counts.

A call that logs must neither fail with a full disk nor wait for a reader that has stopped.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from typing import Protocol

MOST_WAITING_BYTES = 4 * 2**20
"""Bytes of lines that may wait to be written."""
LOOK_SECONDS = 5.0
"""Time without a line after which the output gets an empty one."""
_WAIT_SECONDS = 1.0


class Output(Protocol):
    """Where lines end."""

    def write(self, line: bytes) -> None:
        """Write a line that ends in a newline, or raise OSError.

        An empty line comes now and then if no other does: what others wrote may fill a file.
        """


class Stream:
    """A descriptor that is written to, standard error for instance."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """See `Output.write`; a line that failed halfway is ended before the next one."""
        rest = memoryview(b"\n" + line if self._is_torn else line)
        self._is_torn = True
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], _WAIT_SECONDS)
        self._is_torn = False


class LogSink:
    """A file for loggers to write to, whose lines a thread of its own puts into an output.

    `dropped` counts the lines that were not written, by reason: there was no room for them
    (full), or the output refused them (failed). Safe from any thread.
    """

    def __init__(
        self,
        output: Output,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.dropped = {"full": 0, "failed": 0}
        self._output = output
        self._most = most_waiting_bytes
        self._look_seconds = look_seconds
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._thread = self._start()

    def write(self, text: str) -> None:
        """Have a line written soon; it is dropped, and counted, where there is no room."""
        line = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._waiting and self._waiting + len(line) > self._most:
                self.dropped["full"] += 1
                return
            self._waiting += len(line)
            if not self._thread.is_alive():
                # A fork leaves its child without threads.
                self._thread = self._start()
        self._queue.put(line)

    def flush(self) -> None:
        """Do nothing: loggers call it after each line."""

    def close(self, seconds: float) -> None:
        """Write what waits, for at most so many seconds."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        thread.start()
        return thread

    def _write_all(self) -> None:
        while (line := self._next()) is not None:
            try:
                self._output.write(line)
            except Exception:  # noqa: BLE001 - there is no other place to say it
                self.dropped["failed"] += 1
            finally:
                with self._lock:
                    self._waiting -= len(line)

    def _next(self) -> bytes | None:
        try:
            return self._queue.get(timeout=self._look_seconds)
        except queue.Empty:
            return b""
