"""Descriptors: the limit is raised, and one is kept for the moment in which none is left."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys

import pytest

from queen.serving.logs.descriptors import Reserve

RAISED = """
import resource
from queen.serving.logs.descriptors import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, min(hard, 4096)))
print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_a_service_may_open_as_many_as_the_system_allows() -> None:
    """The usual limit of 1,024 is soon held by strangers."""
    ran = subprocess.run([sys.executable, "-c", RAISED], capture_output=True, text=True, check=True)
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
    assert ran.stdout.split() == [str(most)] * 2


def test_the_reserve_is_given_for_one_opening_and_taken_up_again() -> None:
    """Where no descriptor is left, the opening succeeds all the same."""
    reserve, tries = Reserve(), []

    def open_at_last() -> int:
        tries.append(reserve.is_held)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return os.open(os.devnull, os.O_RDONLY)

    descriptor = reserve.open(open_at_last)
    assert tries == [True, False]
    assert reserve.is_held
    os.close(descriptor)
    reserve.close()
    assert not reserve.is_held


def test_another_failure_costs_no_reserve() -> None:
    """A missing folder is no want of descriptors."""
    reserve = Reserve()
    with pytest.raises(FileNotFoundError):
        reserve.open(lambda: os.open("/none/at/all", os.O_RDONLY))
    assert reserve.is_held
    reserve.close()
