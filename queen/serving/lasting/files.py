"""Files that are followed: a new content comes into force without a restart."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from queen.errors import ConfigError
from queen.serving.logging import logger
from queen.serving.metrics import Metrics

LOOK_SECONDS = 1.0
"""Time between two looks at a file's status."""
REREAD_SECONDS = 60.0
"""Time after which a file is read again although its status has not changed."""
MOST_BYTES = 64 * 2**20
"""Bytes of the largest file that is followed."""
_SHOWN_DIGITS = 12

Load = Callable[[bytes], None]
"""Puts a content in force, or raises ConfigError and leaves the one before in force."""


class FollowedFile:
    """A file of which the last good content is in force.

    Its status (time, size, inode) is looked at every second and its content every minute, both
    through links: a change is seen whether the file is edited, replaced, or is behind a link or a
    mount that reports no event. A refused content is told at once, and counted every minute for as
    long as it stands.

    Metrics and logs name it `name`. `clock` is in seconds. Raises ConfigError if the first content
    is refused.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        load: Load,
        metrics: Metrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._path = path.absolute()
        self._name = name
        self._load = load
        self._metrics = metrics
        self._clock = clock
        self._log = logger(name)
        # A look from the event loop and the follower's look, in a thread, may meet.
        self._lock = threading.Lock()
        self._problem = ""
        self._digest = ""
        self._status = status_of(self._path)
        self._put_in_force(self._read())
        self._reread_at = self._clock() + REREAD_SECONDS
        metrics.config_followed(name, lambda: self._clock() - self._seen_at)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the content in force."""
        return self._digest

    async def follow(self) -> None:
        """Look at the file every second, for ever, and never on the event loop."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self, *, closely: bool = False) -> None:
        """Put a new content in force; the file is read if its status changed, or if `closely`."""
        with self._lock:
            status, now = status_of(self._path), self._clock()
            if status == self._status and now < self._reread_at and not closely:
                return
            self._status, self._reread_at = status, now + REREAD_SECONDS
            try:
                is_new = self._put_in_force(self._read())
            except ConfigError as error:
                self._refuse(str(error))
            except Exception as error:  # noqa: BLE001 - a slip in a file must not end the process
                self._refuse(f"{self._path}: cannot be understood ({type(error).__name__})")
            else:
                if is_new or self._problem:
                    self._log.info("file loaded", file=self._name, sha256=self._digest)
                self._problem = ""

    def _put_in_force(self, content: bytes) -> bool:
        """Whether the content is another than the one in force, which it replaces."""
        digest = hashlib.sha256(content).hexdigest()
        is_new = digest != self._digest
        if is_new:
            self._load(content)
            before, self._digest = self._digest, digest
            self._metrics.config_in_force(
                self._name, digest[:_SHOWN_DIGITS], before[:_SHOWN_DIGITS]
            )
            self._metrics.config_loaded(self._name, ok=True)
        self._seen_at = self._clock()
        return is_new

    def _refuse(self, problem: str) -> None:
        self._metrics.config_loaded(self._name, ok=False)
        if problem != self._problem:
            self._problem = problem
            self._log.warning("file refused, the last good content stays", problem=problem)

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as stream:
                content = stream.read(MOST_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from error
        if len(content) > MOST_BYTES:
            raise ConfigError(f"{self._path}: expected at most {MOST_BYTES} bytes, got more")
        return content


def status_of(path: Path) -> tuple[int, ...] | None:
    """The parts of a file's status that a change of its content changes; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev
