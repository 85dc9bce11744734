"""Files that are followed: a new content comes into force without a restart."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from queen.errors import ConfigError
from queen.serving.logging import logger
from queen.serving.metrics import Metrics

T = TypeVar("T")
LOOK_SECONDS = 1.0
"""Time between two looks of a follower."""
REREAD_SECONDS = 60.0
"""Time after which files are read again although their status has not changed."""
SETTLED_NANOSECONDS = 10**9
"""A file that changed within this time may change again without another time of change."""
MOST_BYTES = 64 * 2**20
"""Bytes of the largest configuration file that is followed."""
_SHOWN_DIGITS = 12

Signature = tuple[tuple[int, ...] | None, ...]


class Followed(Generic[T]):
    """The last good value of some files; `fresh` reads them again if one of them has changed.

    A look at their status (time, size, inode) costs a few microseconds, so whoever needs the value
    may ask for it each time; `follow` looks every second for those who cannot. Both look through
    links: a change is seen whether a file is edited, replaced, or is behind a link or a mount that
    reports no event. Some file systems keep coarse times: files are also read again every minute,
    and while their last change is young.

    What `read` refuses with ConfigError leaves the last good value in force. It is logged at once,
    and counted every minute for as long as it stands. Threads may share the value. Metrics and logs
    name the files `name`. `clock` is in seconds, `now` in nanoseconds since the epoch. Raises
    ConfigError if the first value is refused.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], T],
        name: str,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._paths = tuple(path.absolute() for path in paths)
        self._read = read
        self._name = name
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._log = logger(name).bind(files=[str(path) for path in paths])
        self._problem = ""
        signature = self._signature()
        self.value = read()
        """The value in force, without a look at the files."""
        self._seen_at = clock()
        self._note_read(signature)
        self._count(ok=True)

    def fresh(self, *, closely: bool = False) -> T:
        """The value of the files as they are now, or of the last ones that could be read.

        They are read if their status has changed, or if `closely`.
        """
        with self._lock:
            signature = self._signature()
            is_due = closely or signature != self._seen or self._clock() >= self._reread_at
            if is_due or not self._is_settled:
                self._load(signature, is_due=is_due)
            return self.value

    def age(self) -> float:
        """Seconds since the files were last read and held the value in force, as of now."""
        self.fresh()
        return self._clock() - self._seen_at

    async def follow(self) -> None:
        """Look at the files every second, for ever, and never on the event loop."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.fresh)

    def _load(self, signature: Signature, *, is_due: bool) -> None:
        try:
            value = self._read()
        except ConfigError as error:
            self._refuse(str(error), is_due=is_due)
        except Exception as error:  # noqa: BLE001 - a slip in a file must not end the process
            problem = f"{self._paths[0]}: cannot be understood ({type(error).__name__})"
            self._refuse(problem, is_due=is_due)
        else:
            if value != self.value or self._problem:
                self._count(ok=True)
                self._log.info("files loaded")
            self.value, self._problem, self._seen_at = value, "", self._clock()
        self._note_read(signature)

    def _refuse(self, problem: str, *, is_due: bool) -> None:
        if is_due or problem != self._problem:
            self._count(ok=False)
        if problem != self._problem:
            self._problem = problem
            self._log.warning("files refused, the last good ones stay", problem=problem)

    def _note_read(self, signature: Signature) -> None:
        """Note that files of this status were read, and whether a later change will show in it."""
        newest = max((times[1] for times in signature if times is not None), default=0)
        is_old = abs(self._now() - newest) > SETTLED_NANOSECONDS
        self._is_settled = is_old and self._signature() == signature
        self._seen, self._reread_at = signature, self._clock() + REREAD_SECONDS

    def _signature(self) -> Signature:
        return tuple(map(status_of, self._paths))

    def _count(self, *, ok: bool) -> None:
        if self._metrics is not None:
            self._metrics.config_loaded(self._name, ok=ok)


class Config(NamedTuple, Generic[T]):
    """The content of a configuration file, parsed; `sha256` is the hex digest of its bytes."""

    sha256: str
    parsed: T


def follow_config(
    path: Path,
    name: str,
    parse: Callable[[bytes], T],
    metrics: Metrics,
    clock: Callable[[], float] = time.monotonic,
) -> Followed[Config[T]]:
    """Follow a configuration file, whose bytes `parse` gets once for each new content.

    It raises ConfigError for a content that must not come into force. The metrics say which content
    is in force, and how long ago it was last seen in its file.
    """
    source = _Source(path.absolute(), parse, partial(metrics.config_in_force, name))
    followed = Followed([path], source.read, name, metrics, clock)
    metrics.config_followed(name, followed.age)
    return followed


class _Source(Generic[T]):
    """A configuration file that is parsed again only if its bytes are others."""

    def __init__(
        self, path: Path, parse: Callable[[bytes], T], publish: Callable[[str, str], None]
    ) -> None:
        self._path = path
        self._parse = parse
        self._publish = publish
        self._latest: Config[T] | None = None

    def read(self) -> Config[T]:
        """The content as it is now."""
        content = _read_bounded(self._path)
        latest, digest = self._latest, hashlib.sha256(content).hexdigest()
        if latest is not None and latest.sha256 == digest:
            return latest
        self._latest = Config(digest, self._parse(content))
        self._publish(digest[:_SHOWN_DIGITS], latest.sha256[:_SHOWN_DIGITS] if latest else "")
        return self._latest


def _read_bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: expected at most {MOST_BYTES} bytes, got more")
    return content


def status_of(path: Path) -> tuple[int, ...] | None:
    """The parts of a file's status that a change of its content changes; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev
