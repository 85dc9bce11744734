"""Processes are killed, frozen and drained under load."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.chaos.scenario import Opened, Scenario, opened, scenario
from tests.chaos.setting import Setting


def kill_all_and_restart(run: Scenario) -> None:
    """SIGKILL every replica at once; start them again two seconds later."""
    first, second = run.stage.replicas
    with run.liveness.excusing(first), run.liveness.excusing(second):
        run.stage.kill(first)
        run.stage.kill(second)
        time.sleep(2)
        first.launch()
        second.start()
        first.await_ready()


def test_replicas_that_are_killed_again_and_again(running: Opened) -> None:
    """Nothing that was acknowledged is lost; the other replica goes on."""
    with scenario("kill a replica, four times", running) as run:
        for turn in range(4):
            replica = run.stage.replicas[turn % 2]
            with run.liveness.excusing(replica):
                run.stage.kill(replica)
                time.sleep(0.3)
                replica.start()
            time.sleep(0.5)
        run.finish()


def test_all_replicas_gone_under_protect(running: Opened) -> None:
    """The answers are protect answers until a replica is back."""
    with scenario("kill all replicas", running) as run:
        kill_all_and_restart(run)
        tally = run.finish()
    assert tally.protect > 0


def test_a_replica_that_is_frozen(running: Opened) -> None:
    """Its connections stay open and it says nothing; once it runs again it harms nothing."""
    with scenario("freeze each replica", running) as run:
        for replica in run.stage.replicas:
            with run.liveness.excusing(replica):
                replica.freeze()
                time.sleep(2.5)
                replica.thaw()
                time.sleep(0.5)
        run.finish()


def test_replicas_that_are_drained_in_turn(running: Opened) -> None:
    """A drained replica exits with 0 while the other serves."""
    with scenario("drain each replica", running) as run:
        for replica in run.stage.replicas:
            with run.liveness.excusing(replica):
                assert replica.drain() == 0
                replica.start()
            # As a rollout waits: the front door's next probe finds it.
            time.sleep(2)
        run.finish()


def test_a_redis_that_is_killed(running: Opened) -> None:
    """It syncs every write: what it acknowledged, it has when it is back."""
    with scenario("kill Redis, three times", running) as run:
        for _ in range(3):
            run.server.kill()
            time.sleep(0.7)
            run.server.restart()
            time.sleep(1.5)
        tally = run.finish()
    assert tally.protect > 0
    assert tally.regressed == 0


def test_a_redis_that_is_frozen(running: Opened) -> None:
    """Commands that it reads from its sockets afterwards count, acknowledged or not."""
    with scenario("freeze Redis, twice", running) as run:
        for _ in range(2):
            run.server.signal(signal.SIGSTOP)
            time.sleep(2.5)
            run.server.signal(signal.SIGCONT)
            time.sleep(1.5)
        tally = run.finish()
    assert tally.protect > 0
    assert tally.regressed == 0


def test_all_replicas_gone_under_deny(setting: Setting, tmp_path: Path) -> None:
    """The answers are UNAVAILABLE, and never anything softer."""
    with (
        opened(setting, tmp_path, failure_mode="deny") as running,
        scenario("kill all replicas, deny", running) as run,
    ):
        kill_all_and_restart(run)
        tally = run.finish(allowed=frozenset({"UNAVAILABLE"}))
    assert tally.errors["UNAVAILABLE"] > 0
    assert tally.protect == 0
