"""Hands over all events of gRPC that wait, and not one in each turn of the event loop.

gRPC's thread writes a byte to a socket for each event, to wake the event loop. gRPC's reader takes
one byte in each turn, and hands over whatever events wait. Under load bytes are left over: each
costs a turn for nothing, and once the socket is full, after some hundred, the thread waits for a
byte to be taken before it goes for the next event. All callers then wait in one line.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from functools import partial
from typing import Any

_READER = "PollerCompletionQueue."


def read_all_wakeups(loop: asyncio.AbstractEventLoop) -> int | None:
    """Let gRPC's reader find one byte in each turn, however many were written.

    Returns the descriptor of the socket; None if this was done before, if gRPC was not used in
    this loop, or if another version of it works in another way.
    """
    selector: Any = getattr(loop, "_selector", None)
    for key in list(selector.get_map().values()) if selector is not None else ():
        read: Any = getattr(key.data[0], "_callback", None)
        function = getattr(read, "func", read)
        if getattr(function, "__qualname__", "").startswith(_READER):
            loop.add_reader(key.fd, partial(_read_all, key.fd, read))
            return int(key.fd)
    return None


def _read_all(wakeups: int, read: Callable[[], None]) -> None:
    (waiting,) = struct.unpack("i", fcntl.ioctl(wakeups, termios.FIONREAD, b"\0" * 4))
    if waiting > 1:
        # One is left for gRPC, which would wait for it.
        os.read(wakeups, waiting - 1)
    read()
