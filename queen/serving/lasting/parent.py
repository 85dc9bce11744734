"""Processes that end with the process that started them, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def ends_with_parent() -> Callable[[], None] | None:
    """A function for a new process to run first (`preexec_fn`): it gets SIGTERM with our end.

    So it stops as usual when this process is killed. Linux tells the end of the thread that started
    it: outside of the main thread, and on other systems, there is no such function, and a process
    that is killed leaves behind what it started.
    """
    parent = os.getpid()
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    set_signal = _LIBC.prctl

    def follow() -> None:
        set_signal(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have ended between the fork and the call.
        if os.getppid() != parent:
            os._exit(1)

    return follow
