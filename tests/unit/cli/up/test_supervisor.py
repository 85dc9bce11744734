"""Processes that are started, kept alive and stopped together."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from queen.cli.refusal import Refusal
from queen.cli.up.child import Child
from queen.cli.up.stopping import StopRequests
from queen.cli.up.supervisor import SETTLED_SECONDS, Supervisor
from tests.unit.cli.up.processes import DEAF, REFUSING, SERVING, SILENT, child_of


class Operator:
    """An operator: the requests to stop, the lines that are told, and the clock."""

    def __init__(self) -> None:
        self.requests = StopRequests()
        self.lines: list[str] = []
        self.changes = 0
        self.seconds = 0.0

    def supervisor(self, **seconds: float) -> Supervisor:
        """A supervisor that tells this operator."""
        return Supervisor(
            self.requests, self.lines.append, self._changed, clock=self._clock, **seconds
        )

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait for a claim to hold."""
        async with asyncio.timeout(20):
            while not claim():
                await asyncio.sleep(0.01)

    def _changed(self) -> None:
        self.changes += 1

    def _clock(self) -> float:
        return self.seconds


async def kill(child: Child) -> None:
    """End a child as a crash would."""
    child.send(signal.SIGKILL)
    await child.ended()


async def test_groups_start_together_and_stop_the_last_first(tmp_path: Path) -> None:
    """All serve before `start` returns; every child drains, and none is killed."""
    operator = Operator()
    supervisor = operator.supervisor()
    peers = [child_of(tmp_path, SERVING, name) for name in ("one", "two")]
    door = [child_of(tmp_path, SERVING, "door")]
    assert await supervisor.start(peers)
    assert await supervisor.start(door)
    assert supervisor.children == [*peers, *door]
    assert all(child.is_serving for child in supervisor.children)
    assert await supervisor.stop()
    assert [child.exit_code for child in supervisor.children] == [0, 0, 0]
    assert operator.lines == []


async def test_a_child_that_refuses_ends_the_start_in_its_words(tmp_path: Path) -> None:
    """The sentence of the service is the sentence of `queen up`, with the log to look into."""
    supervisor = Operator().supervisor()
    group = [child_of(tmp_path, SERVING, "one"), child_of(tmp_path, REFUSING)]
    with pytest.raises(Refusal) as refusal:
        await supervisor.start(group)
    log = group[1].log
    assert refusal.value.message == (
        f"toy did not start: expected good settings, got bad (log: {log})"
    )
    assert refusal.value.exit_code == 1
    assert await supervisor.stop()


async def test_a_child_that_never_serves_ends_the_start(tmp_path: Path) -> None:
    """After the time that a start may have."""
    supervisor = Operator().supervisor(start_seconds=0.3)
    with pytest.raises(Refusal, match=r"toy did not start: it did not serve within 0\.3 s"):
        await supervisor.start([child_of(tmp_path, SILENT)])
    await supervisor.stop()


async def test_a_request_to_stop_ends_the_start(tmp_path: Path) -> None:
    """Nothing is waited for any more, and what was started is stopped."""
    operator = Operator()
    supervisor = operator.supervisor()
    starting = asyncio.create_task(supervisor.start([child_of(tmp_path, SILENT)]))
    await operator.until(lambda: any(child.is_running for child in supervisor.children))
    operator.requests.ask()
    assert not await starting
    await supervisor.stop()
    assert not supervisor.children[0].is_running


async def test_a_child_that_dies_is_started_again_later_and_later(tmp_path: Path) -> None:
    """The delays double, and are told; a process that served for long begins with the first."""
    operator = Operator()
    supervisor = operator.supervisor()
    child = child_of(tmp_path, SERVING)
    await supervisor.start([child])
    watching = asyncio.create_task(supervisor.watch())
    for changes in (1, 2):
        await kill(child)
        await operator.until(lambda changes=changes: operator.changes == changes)  # type: ignore[misc]
    operator.seconds += SETTLED_SECONDS + 1
    await kill(child)
    await operator.until(lambda: operator.changes == 3)
    operator.requests.ask()
    await watching
    assert await supervisor.stop()
    told = [line for line in operator.lines if "starting it again" in line]
    assert told == [
        f"toy was ended by SIGKILL; starting it again in {delay} s" for delay in (0.25, 0.5, 0.25)
    ]
    assert operator.lines.count("toy serves again") == 3


async def test_a_restart_that_fails_is_told_in_the_words_of_the_child(tmp_path: Path) -> None:
    """It is tried again, and a request to stop ends the trying."""
    operator = Operator()
    supervisor = operator.supervisor()
    child = child_of(tmp_path, SERVING)
    await supervisor.start([child])
    watching = asyncio.create_task(supervisor.watch())
    refusing = child_of(tmp_path, REFUSING)
    child.argv = refusing.argv
    await kill(child)
    await operator.until(lambda: any("did not start" in line for line in operator.lines))
    operator.requests.ask()
    await watching
    assert operator.lines[1] == (
        "toy did not start (queen toy: expected good settings, got bad); starting it again in 0.5 s"
    )
    assert await supervisor.stop()


async def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """After the time that a stop may have, or at once if the operator asks again."""
    operator = Operator()
    supervisor = operator.supervisor(stop_seconds=0.3)
    await supervisor.start([child_of(tmp_path, DEAF, "deaf"), child_of(tmp_path, SERVING)])
    assert not await supervisor.stop()
    assert operator.lines == ["deaf had not stopped yet and was killed"]
    assert not any(child.is_running for child in supervisor.children)


async def test_a_second_request_ends_the_waiting(tmp_path: Path) -> None:
    """An operator who asks twice does not wait for a drain."""
    operator = Operator()
    supervisor = operator.supervisor(stop_seconds=60)
    await supervisor.start([child_of(tmp_path, DEAF)])
    operator.requests.ask()
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    operator.requests.ask()
    assert not await asyncio.wait_for(stopping, 20)
