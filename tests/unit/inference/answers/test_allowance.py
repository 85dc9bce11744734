"""Rows without a verdict: each owner may have so many."""

from __future__ import annotations

import pytest
from queen_inference.answers.allowance import SHORTEST_SECONDS, Allowance


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def test_an_owner_gets_so_many_rows(clock: Clock) -> None:
    """A request gets all of its rows or none; another owner has its own."""
    allowance = Allowance(10, clock)
    assert not allowance.grant("alice", 11)
    assert [allowance.grant("alice", 4) for _ in range(3)] == [True, True, False]
    assert allowance.grant("alice", 2)
    assert not allowance.grant("alice", 1)
    assert allowance.grant("bob", 10)
    assert not Allowance(0, clock).grant("alice", 1)


def test_a_verdict_begins_the_count_anew_after_a_while(clock: Clock) -> None:
    """One that comes sooner frees nothing: verdicts can come and go while a peer fails."""
    allowance = Allowance(10, clock)
    assert allowance.grant("alice", 10)
    clock.now = SHORTEST_SECONDS - 1
    allowance.renew("alice")
    assert not allowance.grant("alice", 1)
    clock.now = SHORTEST_SECONDS
    assert not allowance.grant("alice", 1)
    allowance.renew("alice")
    assert allowance.grant("alice", 10)
    allowance.renew("nobody")


def test_memory_is_bounded(clock: Clock) -> None:
    """The owners whose rows are the oldest are forgotten."""
    allowance = Allowance(10, clock, most_owners=2)
    for name in ("a", "b"):
        assert allowance.grant(name, 9)
    assert allowance.grant("a", 1)
    assert allowance.grant("c", 10)
    assert len(allowance) == 2
    assert not allowance.grant("a", 1)
    assert allowance.grant("b", 10)
