"""Values read from files, and read again once a file has changed, without a task or a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from queen.errors import ConfigError
from queen.serving.lasting.files import status_of
from queen.serving.logging import logger
from queen.serving.metrics import Metrics

T = TypeVar("T")
SETTLED_NANOSECONDS = 10**9
"""A file that changed within this time may change again without another time of change."""

Signature = tuple[tuple[int, ...] | None, ...]


class Followed(Generic[T]):
    """The value of some files; `fresh` reads them again if one of them has changed.

    The look at the files costs a few microseconds, so whoever needs the value asks for it: no
    watcher can end in silence. A change that `read` refuses with ConfigError leaves the last good
    value in force; it is counted and logged. Links are followed, so a folder that Kubernetes
    mounts is followed too. Threads may share it. `name` is that of the files in the metrics.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], T],
        metrics: Metrics | None = None,
        now: Callable[[], int] = time.time_ns,
        name: str = "tls",
    ) -> None:
        self._name = name
        self._paths = tuple(paths)
        self._read = read
        self._metrics = metrics
        self._now = now
        self._lock = threading.Lock()
        self._log = logger("files").bind(files=[str(path) for path in paths])
        self._problem = ""
        self._seen = self._signature()
        self._value = read()
        self._count(ok=True)

    def fresh(self) -> T:
        """The value of the files as they are now, or of the last ones that could be read."""
        with self._lock:
            signature = self._signature()
            if signature != self._seen:
                self._load(signature)
            return self._value

    def _load(self, signature: Signature) -> None:
        try:
            value = self._read()
        except ConfigError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._count(ok=False)
                self._log.warning("files refused, the last good ones stay", problem=str(error))
        else:
            if value != self._value or self._problem:
                self._count(ok=True)
                self._log.info("files loaded")
            self._value, self._problem = value, ""
        if self._signature() == signature and self._is_settled(signature):
            self._seen = signature

    def _is_settled(self, signature: Signature) -> bool:
        """Whether every later change will show in the times of change, second in a status."""
        newest = max((facts[1] for facts in signature if facts is not None), default=0)
        return abs(self._now() - newest) > SETTLED_NANOSECONDS

    def _signature(self) -> Signature:
        return tuple(map(status_of, self._paths))

    def _count(self, *, ok: bool) -> None:
        if self._metrics is not None:
            self._metrics.config_loaded(self._name, ok=ok)
