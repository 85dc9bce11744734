"""The file of decision records: written beside the event loop, and rotated when it is full."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import Counter

from queen import __version__
from queen.decision_line import LOGGER
from queen.errors import ConfigError
from queen.serving.logging import logger
from queen_inference.decisions.log import DecisionRecord

MOST_WAITING_ROWS = 1 << 16
"""Queries whose records may wait to be written; those of PRESERVE alone may fill half."""
_CLOSE_SECONDS = 5.0


class DecisionFile:
    """Accepts records without waiting, and writes them from a thread of its own.

    A record for which there is no room, or that the disk refuses, is counted in `lost`, by its
    harshest verdict.
    """

    def __init__(self, file: RotatingFile, lost: Mapping[str, Counter]) -> None:
        self._file = file
        self._lost = lost
        self._log = logger("decision_file").bind(file=file.name)
        self._queue: queue.SimpleQueue[DecisionRecord | None] = queue.SimpleQueue()
        # Each of the two counters is changed by one thread only, so they need no lock.
        self._rows_offered = 0
        self._rows_done = 0
        self._problem = ""
        self._thread = threading.Thread(target=self._write_all, name="decisions", daemon=True)
        self._thread.start()

    def offer(self, record: DecisionRecord) -> None:
        """Have a record written soon; to be called from one thread only."""
        waiting = self._rows_offered - self._rows_done
        room = MOST_WAITING_ROWS // 2 if record.harshest == "preserve" else MOST_WAITING_ROWS
        if waiting and waiting + record.rows > room:
            self._lose(record, "more decision records than the disk can write")
            return
        self._rows_offered += record.rows
        self._queue.put(record)

    def close(self) -> None:
        """Write the records that wait, for at most 5 seconds, and close the file."""
        self._queue.put(None)
        self._thread.join(_CLOSE_SECONDS)
        while self._thread.is_alive() and not self._queue.empty():
            record = self._queue.get()
            if record is not None:
                self._lose(record, "no time to write decision records")
        if not self._thread.is_alive():
            self._file.close()

    def _write_all(self) -> None:
        while (record := self._queue.get()) is not None:
            try:
                self._file.write(line_of(record))
                self._problem = ""
            except Exception as error:  # noqa: BLE001 - a bug must not end the thread unseen
                problem = getattr(error, "strerror", None) or type(error).__name__
                self._lose(record, problem)
            finally:
                self._rows_done += record.rows

    def _lose(self, record: DecisionRecord, problem: str) -> None:
        self._lost[record.harshest].inc()
        if problem != self._problem:
            # Only the first of several alike is logged: losses come at the rate of the traffic.
            self._problem = problem
            self._log.error("decision records are lost", problem=problem)


def line_of(record: DecisionRecord) -> bytes:
    """A record as a line of JSON."""
    moment = datetime.fromtimestamp(record.seconds, UTC)
    fields = {
        "ts": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "logger": LOGGER,
        "msg": record.event,
        "version": __version__,
        **record.fields(),
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


class RotatingFile:
    """Lines in `path`; a full file becomes `path`.1, that one `path`.2, and so on up to `kept`.

    New files are readable by the service's user only. A line is whole, in one file: a write that
    fails is undone. Not thread-safe. Raises ConfigError if the file cannot be opened or another
    process writes it.
    """

    def __init__(self, path: Path, max_bytes: int, kept: int) -> None:
        self.name = str(path)
        """The path as it was given: the name of the file in logs."""
        self._path = path.absolute()
        self._max_bytes = max_bytes
        self._kept = kept
        try:
            # Hidden, so that no pattern for the files matches it.
            lock = self._path.with_name(f".{path.name}.lock")
            self._lock = os.open(lock, os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._open()
            if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
                # A process that was killed left half a line, which stays the last of its file.
                self._rotate()
        except BlockingIOError as error:
            raise ConfigError(
                f"{path}: another process writes decision records there; give each front door "
                "a --decision-log-file of its own"
            ) from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error

    def write(self, line: bytes) -> None:
        """Append a line that ends in a newline; OSError if that fails, and nothing is written."""
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    def close(self) -> None:
        """Close the file, so that another process may open it."""
        os.close(self._file)
        os.close(self._lock)

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        # The oldest file first, so that a crash in between leaves a gap and loses nothing.
        for age in range(self._kept, 0, -1):
            newer = self._beside(str(age - 1)) if age > 1 else self._path
            if newer.exists():
                newer.replace(self._beside(str(age)))
        full = self._file
        self._open()
        os.close(full)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{suffix}")
