"""File descriptors: as many as the system allows, and one kept in reserve."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from contextlib import suppress

_EXHAUSTED = (errno.EMFILE, errno.ENFILE)
MOST_DESCRIPTORS = 1 << 20
"""Descriptors beyond which no limit is raised."""


def raise_limit() -> int:
    """Raise this process's limit of descriptors to the most that it may have; returns the limit.

    Every connection holds one, and the usual limit of 1,024 is soon held by strangers.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return most
    return soft


class Reserve:
    """A descriptor that is held for the moment in which no other is left."""

    def __init__(self) -> None:
        self._held: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def is_held(self) -> bool:
        """Whether there is a descriptor in reserve."""
        return self._held is not None

    def open(self, opener: Callable[[], int]) -> int:
        """The descriptor that `opener` opens, in place of the reserve where no other is left.

        Raises OSError if that fails too. The next call takes up a new reserve if it can.
        """
        self._refill()
        try:
            return opener()
        except OSError as error:
            if error.errno not in _EXHAUSTED or self._held is None:
                raise
        self.close()
        try:
            return opener()
        finally:
            self._refill()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _refill(self) -> None:
        if self._held is None:
            with suppress(OSError):
                self._held = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
