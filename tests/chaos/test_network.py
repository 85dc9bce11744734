"""The network between the front door, the replicas and Redis: slow, broken, half open."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import pytest

from tests.chaos.checks.report import Tally
from tests.chaos.proxy import HALF_OPEN, FaultProxy, Faults
from tests.chaos.scenario import Opened, scenario

Way = Literal["store", "peer"]
WAYS = {"store": "replica to Redis", "peer": "door to replica"}
_FAULT_SECONDS = 4.0


def endure(
    running: Opened, name: str, way: Way, faults: Faults, *, links: slice = slice(None)
) -> Tally:
    """Put some links under a fault for a while, end it, and check."""
    with scenario(f"{name}, {WAYS[way]}", running) as run:
        for link in _links(running, way)[links]:
            link.set(faults)
        time.sleep(_FAULT_SECONDS)
        return run.finish()


def _links(running: Opened, way: Way) -> Sequence[FaultProxy]:
    return running.stage.store_links if way == "store" else running.stage.peer_links


@pytest.mark.parametrize("way", WAYS)
def test_a_round_trip_of_100_ms(running: Opened, way: Way) -> None:
    """It is inside every timeout: verdicts come, only later."""
    tally = endure(running, "50 ms each way", way, Faults(delay_seconds=0.05))
    assert tally.verdict > 0


@pytest.mark.parametrize("way", WAYS)
def test_a_round_trip_of_800_ms(running: Opened, way: Way) -> None:
    """It is outside the timeouts: requests are answered without a verdict."""
    tally = endure(running, "400 ms each way", way, Faults(delay_seconds=0.4))
    assert tally.protect > 0


@pytest.mark.parametrize("way", WAYS)
def test_connections_that_are_reset_at_random(running: Opened, way: Way) -> None:
    """A tenth of the pieces end their connection, in the middle of it."""
    before = sum(link.resets for link in _links(running, way))
    endure(running, "resets", way, Faults(reset_chance=0.1))
    assert sum(link.resets for link in _links(running, way)) > before


@pytest.mark.parametrize("way", WAYS)
def test_half_open_connections(running: Opened, way: Way) -> None:
    """Bytes go in and none come out; held ones arrive late, after their callers have left."""
    tally = endure(running, "half open", way, HALF_OPEN)
    assert tally.protect > 0


@pytest.mark.parametrize("way", WAYS)
def test_answers_that_do_not_arrive(running: Opened, way: Way) -> None:
    """The calls are carried out, and their callers do not learn of it."""
    tally = endure(running, "answers held", way, Faults(hold_answers=True))
    assert tally.protect > 0


@pytest.mark.parametrize("way", WAYS)
def test_one_link_that_is_half_open(running: Opened, way: Way) -> None:
    """The other replica is well."""
    endure(running, "one half open", way, HALF_OPEN, links=slice(1))


def test_replicas_that_refuse_connections(running: Opened) -> None:
    """Nothing listens: known at once, and answered at once."""
    tally = endure(running, "refused", "peer", Faults(refuse=True))
    assert tally.protect > 0


def test_a_trickle_to_redis(running: Opened) -> None:
    """A line of 20 kB a second, each way."""
    endure(running, "20 kB/s", "store", Faults(bytes_per_second=20_000))
