"""A file of lines, rotated by size."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from queen.errors import ConfigError
from queen.serving.logs.descriptors import Reserve

_RETRY_SHARE = 16
"""A file that cannot be rotated grows by a sixteenth of its size before it is tried again."""


def _ignore(_descriptor: int) -> None:
    """Ignore a new file."""


class RotatingFile:
    """Lines in `path`; a full file becomes `path`.1, that one `path`.2, and so on up to `kept`.

    New files are readable by the service's user only. A line is whole, in one file: a write that
    fails is undone. A file that cannot be rotated, for want of a descriptor for instance, is
    written on. Not thread-safe. `opened` gets the descriptor of each file that is begun. Raises
    ConfigError if the file cannot be opened or another process writes it.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        kept: int,
        opened: Callable[[int], None] = _ignore,
    ) -> None:
        self.name = str(path)
        """The path as it was given: the name of the file in logs."""
        self._path = path.absolute()
        self._max_bytes = max_bytes
        self._kept = kept
        self._opened = opened
        self._reserve = Reserve()
        try:
            # Hidden, so that no pattern for the files matches it.
            lock = self._path.with_name(f".{path.name}.lock")
            self._lock = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = _open(self._path)
            size = os.fstat(self._file).st_size
            self._full_at = max_bytes
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                # A process that was killed left half a line, which stays the last of its file.
                self._rotate()
        except BlockingIOError as error:
            raise ConfigError(
                f"{path}: another process writes its records there; give each service "
                "a file of its own"
            ) from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
        opened(self._file)

    def write(self, line: bytes) -> None:
        """Append a line that ends in a newline; OSError if that fails, and nothing is written.

        An empty line is not written, but a file that others have filled is rotated.
        """
        # Not counted: libraries write to the descriptor, too, where it is that of stderr.
        size = os.fstat(self._file).st_size
        if size and size + len(line) > self._full_at:
            try:
                self._rotate()
            except OSError:
                # No record is lost for want of a new file: this one is larger than asked for.
                self._full_at = size + len(line) + self._max_bytes // _RETRY_SHARE
            else:
                size = 0
                self._opened(self._file)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        """Close the file, so that another process may open it."""
        os.close(self._file)
        os.close(self._lock)
        # Its number may soon be another file's.
        self._file = -1
        self._reserve.close()

    def _rotate(self) -> None:
        """Begin a new file; OSError if that fails, and then this one stays in use."""
        fresh = self._path.with_name(f".{self._path.name}.next")
        # A file that an earlier process had begun and not used.
        with suppress(FileNotFoundError):
            fresh.unlink()
        # Opened before anything is renamed: without a descriptor all files stay as they are.
        file = self._reserve.open(lambda: _open(fresh))
        try:
            # The oldest file first, so that a crash in between leaves a gap and loses nothing.
            for age in range(self._kept, 0, -1):
                newer = self._beside(str(age - 1)) if age > 1 else self._path
                if newer.exists():
                    newer.replace(self._beside(str(age)))
            fresh.replace(self._path)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file, self._full_at = file, self._max_bytes

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{suffix}")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
