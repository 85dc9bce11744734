"""The file of decision records, written beside the event loop."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from prometheus_client import Counter

from queen import __version__
from queen.decision_line import LOGGER
from queen.serving.logging import logger
from queen.serving.logs.rotating_file import RotatingFile
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
