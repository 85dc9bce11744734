"""Processes that end with the process that started them."""

from __future__ import annotations

import subprocess
import sys
import threading

import psutil

from queen.serving.lasting.parent import ends_with_parent

STARTING = """
import subprocess, sys, time
from queen.serving.lasting.parent import ends_with_parent
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], preexec_fn=ends_with_parent())
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_ends_with_a_parent_that_is_killed() -> None:
    """SIGKILL leaves the parent no time to stop what it has started."""
    command = [sys.executable, "-c", STARTING, "import time; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_thread_that_may_end_first_binds_no_process() -> None:
    """Its end would be told to the process as that of its parent."""
    told: list[object] = []
    thread = threading.Thread(target=lambda: told.append(ends_with_parent()))
    thread.start()
    thread.join()
    assert told == [None]
    assert ends_with_parent() is not None
