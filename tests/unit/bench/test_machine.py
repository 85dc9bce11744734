"""The figures of a machine and of a process."""

from __future__ import annotations

import mmap
import os
import time

from queen.bench.machine import cpu_seconds, describe_machine, resident_bytes


def test_a_process_has_used_the_time_that_it_computed() -> None:
    """CPU time grows with work, and agrees with what the process itself reads."""
    before = cpu_seconds(os.getpid())
    while time.process_time() < before + 0.05:
        pass
    after = cpu_seconds(os.getpid())
    assert after - before > 0
    # The kernel counts in ticks.
    assert abs(after - time.process_time()) < 0.1


def test_memory_that_is_written_is_resident() -> None:
    """The figure grows by new pages that are written; an allocator may hand out old ones."""
    size = 50 * 2**20
    with mmap.mmap(-1, size) as block:
        before = resident_bytes()
        block.write(b"\1" * size)
        assert resident_bytes() - before > 0.9 * size


def test_a_machine_is_described() -> None:
    """Processor, cores and Python, for whoever compares figures."""
    machine = describe_machine()
    assert machine["processor"]
    assert machine["cores"] == os.cpu_count()
