"""A siege finds what its rows break, and holds services to the limits of their pods."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.siege.judgement import problems_of
from tests.siege.limits import MIB, Limits, held
from tests.unit.deploy.manifests import SERVICES, container

FINE: dict[str, Any] = {
    "act": "malformed",
    "kept": 1.0,
    "control_kept": 1.0,
    "rss_grown_mib": 3.0,
    "log_bytes_per_call": 0.0,
    "without_verdict": 0.0,
    "without_verdict_quiet": 0.0,
    "kills": 0,
}
CONTROL: dict[str, Any] = {
    "act": "sensitivity starts again, control",
    "recovered_seconds": 2.0,
    "without_verdict": 10.0,
}


def test_rows_that_keep_their_promises_are_no_problem() -> None:
    """A recovery is held to that of its control."""
    watched = {**CONTROL, "act": "sensitivity starts again, watchers"}
    assert problems_of([FINE, CONTROL, watched, {"act": "drain", "exit_code": 0}]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kept": 0.7},
        {"rss_grown_mib": 120.0},
        {"log_bytes_per_call": 850.0},
        {"without_verdict": 20.0},
        {"kills": 1},
    ],
)
def test_each_broken_promise_is_named(change: dict[str, Any]) -> None:
    """With the act that broke it."""
    (problem,) = problems_of([{**FINE, **change}])
    assert problem.startswith("malformed: ")


def test_a_slow_machine_is_no_fault_of_the_door() -> None:
    """The control lost as much."""
    assert problems_of([{**FINE, "kept": 0.7, "control_kept": 0.7}]) == []


@pytest.mark.parametrize("change", [{"recovered_seconds": 60.0}, {"without_verdict": 120.0}])
def test_a_recovery_later_than_that_of_its_control_is_named(change: dict[str, Any]) -> None:
    """Watchers that take no bytes delay no change of state."""
    watched = {**CONTROL, "act": "sensitivity starts again, watchers", **change}
    assert len(problems_of([CONTROL, watched])) == 1


def test_an_end_that_loses_calls_is_named() -> None:
    """A refusal is none: it tells its caller where to go."""
    assert problems_of([{"act": "drain", "exit_code": 0, "calls_unavailable": 5}]) == []
    assert len(problems_of([{"act": "drain", "exit_code": 70, "calls_cancelled": 5}])) == 2


@pytest.mark.parametrize("service", SERVICES)
def test_the_limits_are_those_that_a_cluster_gets(service: str) -> None:
    """Read from the base, without kubectl."""
    limits = container(service)["resources"]["limits"]
    found = Limits.of(service)
    assert limits["memory"] == f"{found.memory_bytes // (1024 * MIB)}Gi"
    assert float(limits["cpu"]) == found.processors


def test_a_process_is_held_to_its_limits() -> None:
    """By a cgroup or, where there is none, by its address space."""
    grab = "import sys; sys.stdin.readline(); bytearray(4 * 2**30); print('too much')"
    words = [sys.executable, "-c", grab]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        with held(process.pid, "test", Limits(256 * MIB, 1.0)) as cell:
            assert cell.resident_mib < 256
            out, _ = process.communicate("go\n")
        assert (out, process.returncode != 0) == ("", True)
