"""Bounds on the calls in work, with a clock of the test's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from queen.errors import Overloaded
from queen.serving.edge.calls import (
    FEWEST_ARRIVING,
    MOST_STRANGERS_ARRIVING,
    SHARE,
    STRANGER,
    STRANGERS_SHARE,
    YOUNG_SECONDS,
    Call,
    CallLimits,
    CallsInWork,
)

LIMITS = CallLimits(
    calls=64, bytes=6400, message_bytes=100, request_seconds=10.0, answer_seconds=30.0
)
OLD = 2 * YOUNG_SECONDS


class Clocked(CallsInWork):
    """Calls in work at a time that a test sets."""

    def __init__(self, limits: CallLimits = LIMITS) -> None:
        self.now, self.counts, self.planned = 0.0, Counter[str](), 0

        def count(why: str) -> None:
            self.counts[why] += 1

        def later(_seconds: float, _sweep: Callable[[], None]) -> None:
            self.planned += 1

        super().__init__(limits, count, lambda: self.now, later)

    def enter(self, share: str | None) -> Call:
        """A call that no task works on."""
        call = super().enter(share)
        call.work = None
        return call

    def arriving(self, share: str | None, count: int = 1) -> list[Call]:
        """New calls of a share that wait for their messages."""
        calls = [self.enter(share) for _ in range(count)]
        for call in calls:
            self.arrives(call)
        return calls


def dropped(calls: list[Call]) -> list[int]:
    """The calls that were ended, by their order."""
    return [order for order, call in enumerate(calls) if call.is_dropped]


def test_calls_are_bounded_for_all_and_for_each() -> None:
    """One account has a quarter, strangers together an eighth, whoever is trusted the rest."""
    calls = Clocked()
    for share, parts in ((STRANGER, STRANGERS_SHARE), ("alice", SHARE), ("bob", SHARE)):
        entered = [calls.enter(share) for _ in range(LIMITS.calls // parts)]
        with pytest.raises(Overloaded):
            calls.enter(share)
        calls.leave(entered[0])
        calls.enter(share)
    rest = LIMITS.calls - len(calls)
    for _ in range(rest):
        calls.enter(None)
    with pytest.raises(Overloaded) as caught:
        calls.enter("carol")
    assert caught.value.retry_after_seconds > 0
    assert calls.counts == {"calls": 4}


def test_a_call_that_left_holds_nothing() -> None:
    """Whatever it was doing; leaving twice is leaving once."""
    calls = Clocked()
    (arriving,) = calls.arriving("alice")
    working, sending = calls.enter("alice"), calls.enter("alice")
    calls.arrived(working, 50)
    calls.sends(sending, 70)
    assert (len(calls), calls.held) == (3, 120)
    for call in (arriving, working, sending, sending):
        calls.leave(call)
    assert (len(calls), calls.held) == (0, 0)
    calls.now = 1000.0
    calls.sweep()
    assert not calls.counts


def test_bytes_are_bounded_for_all_and_for_each() -> None:
    """An account holds a quarter of them, or one message that is larger."""
    calls = Clocked()
    own = LIMITS.held_bytes // SHARE
    calls.arrived(calls.enter("alice"), own + 1)
    with pytest.raises(Overloaded):
        calls.arrived(calls.enter("alice"), 1)
    calls.arrived(calls.enter(None), LIMITS.held_bytes - calls.held)
    with pytest.raises(Overloaded):
        calls.arrived(calls.enter("bob"), 1)
    assert calls.counts == {"bytes": 2}


def test_an_answer_replaces_its_message_until_it_is_read() -> None:
    """Its bytes count for as long; a stream's next part counts anew."""
    calls = Clocked()
    call = calls.enter("alice")
    calls.arrived(call, 100)
    calls.sends(call, 30)
    assert calls.held == 30
    calls.sent(call)
    assert calls.held == 0
    calls.sends(call, 40)
    calls.now = LIMITS.answer_seconds
    calls.sweep()
    assert (dropped([call]), calls.counts) == ([0], {"unread_answer": 1})


def test_a_message_that_does_not_come_ends_its_call() -> None:
    """After its time, and not before."""
    calls = Clocked()
    waiting = calls.arriving("alice")
    calls.now = LIMITS.request_seconds - 0.1
    calls.sweep()
    assert not dropped(waiting)
    calls.now = LIMITS.request_seconds
    calls.sweep()
    assert (dropped(waiting), calls.counts) == ([0], {"slow_request": 1})


async def test_messages_arrive_as_many_as_there_is_room_for() -> None:
    """The next one arrives when one is there, or has given way to an account that has less."""
    calls = Clocked(replace(LIMITS, calls=1024))
    alice = calls.arriving("alice", LIMITS.arriving)
    bob = calls.enter("bob")
    turn = calls.arrives(bob)
    assert turn is not None
    calls.sweep()
    assert not calls.counts
    calls.now = OLD
    calls.sweep()
    assert (dropped(alice), calls.counts) == ([LIMITS.arriving - 1], {"gave_way": 1})
    assert (turn.done(), bob.began) == (True, OLD)
    carol = calls.enter("carol")
    turn = calls.arrives(carol)
    assert turn is not None
    calls.arrived(alice[0], 10)
    assert turn.done()


async def test_a_newcomer_gets_in_however_many_strangers_send() -> None:
    """The oldest of them gives way, and strangers take no room of accounts."""
    calls = Clocked(replace(LIMITS, calls=1024))
    strangers = calls.arriving(STRANGER, MOST_STRANGERS_ARRIVING + 2)
    calls.now = OLD
    calls.sweep()
    assert dropped(strangers) == [0, 1]
    assert calls.arrives(calls.enter("alice")) is None


def test_a_few_messages_arrive_however_large() -> None:
    """A bound below the largest message would let nothing in."""
    assert replace(LIMITS, bytes=10).arriving == FEWEST_ARRIVING
    assert LIMITS.arriving == 32


def test_a_sweep_is_planned_only_while_something_waits() -> None:
    """An idle server has no timer."""
    calls = Clocked()
    assert calls.planned == 0
    calls.arriving("alice", 3)
    assert calls.planned == 1


def test_an_answer_larger_than_its_question_finds_room_or_is_refused() -> None:
    """A share's first one is welcome; more of them are as bounded as messages are."""
    calls, own = Clocked(), LIMITS.held_bytes // SHARE
    first, second, trusted = calls.enter("alice"), calls.enter("alice"), calls.enter(None)
    calls.sends(first, 10 * own)
    with pytest.raises(Overloaded):
        calls.sends(second, 1)
    assert calls.counts == {"bytes": 1}
    calls.leave(first)
    calls.sends(second, own)
    calls.sends(trusted, 10 * LIMITS.held_bytes)
    assert calls.held == own + 10 * LIMITS.held_bytes


def test_on_the_port_of_probes_the_oldest_gives_way() -> None:
    """First of the calls whose message does not come, then of those that leave their answer."""
    calls = Clocked(replace(LIMITS, calls=3, gives_way=True))
    unread, working = calls.enter(None), calls.enter(None)
    calls.sends(unread, 10)
    (arriving,) = calls.arriving(None)
    calls.enter(None)
    assert dropped([unread, working, arriving]) == [2]
    calls.leave(arriving)
    calls.enter(None)
    assert dropped([unread, working, arriving]) == [0, 2]
    calls.leave(unread)
    with pytest.raises(Overloaded):
        calls.enter(None)
    assert calls.counts == {"gave_way": 2, "calls": 1}
