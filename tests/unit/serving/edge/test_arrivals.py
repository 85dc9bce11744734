"""Room for messages that arrive: who waits, who is next, who gives way."""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass

from queen.serving.edge.arrivals import Arrivals

YOUNG = 1.0
OLD = 2.0


@dataclass(eq=False)
class Message:
    """A call that wants its message."""

    share: str | None
    began: float = 0.0


def room(most: int, *, oldest_first: bool = False) -> Arrivals[Message]:
    """Room for so many."""
    return Arrivals[Message](most, YOUNG, oldest_first)


def entered(arrivals: Arrivals[Message], shares: str) -> list[tuple[Message, Future[None] | None]]:
    """A message for each letter, and the future that it waits for."""
    messages = [Message(share) for share in shares]
    return [(message, arrivals.enter(message)) for message in messages]


async def test_messages_wait_while_there_is_no_room() -> None:
    """And get it in turn, the shares that have least before the others."""
    arrivals = room(2)
    (first, at_once), (_second, also), (third, turn), (fourth, other) = entered(arrivals, "aaab")
    assert at_once is also is None
    assert turn is not None
    assert other is not None
    assert arrivals.is_contested
    assert arrivals.leave(first) == [fourth]
    assert (other.done(), turn.done()) == (True, False)
    assert arrivals.leave(fourth) == [third]
    assert not arrivals.is_contested
    assert arrivals


async def test_who_leaves_while_waiting_takes_no_room() -> None:
    """Nor does one whose caller has gone."""
    arrivals = room(1)
    (first, _), (second, _), (third, turn), (fourth, _) = entered(arrivals, "aaaa")
    assert arrivals.leave(second) == []
    assert turn is not None
    turn.cancel()
    assert arrivals.leave(first) == [fourth]
    assert arrivals.leave(third) == arrivals.leave(fourth) == []
    assert not arrivals


async def test_the_newest_of_whoever_has_most_gives_way() -> None:
    """Once it is old enough, and only to a share that has less."""
    arrivals = room(4)
    messages = [message for message, _ in entered(arrivals, "aaab")]
    assert arrivals.givers(OLD) == []
    entered(arrivals, "bcc")
    assert arrivals.givers(YOUNG / 2) == []
    assert arrivals.givers(OLD) == [messages[2], messages[1]]


async def test_nobody_gives_way_to_their_own() -> None:
    """A share that waits for itself has to wait."""
    arrivals = room(2)
    entered(arrivals, "aaaa")
    assert arrivals.givers(OLD) == []


async def test_of_strangers_the_oldest_gives_way() -> None:
    """To each that waits, so a newcomer gets in."""
    arrivals = room(3, oldest_first=True)
    messages = [message for message, _ in entered(arrivals, "aaaaa")]
    assert arrivals.givers(OLD) == messages[:2]


async def test_the_late_are_those_with_room_and_those_without() -> None:
    """Both have waited for too long."""
    arrivals = room(1)
    (first, _), (second, _) = entered(arrivals, "ab")
    second.began = 5.0
    assert arrivals.late(4.0) == [first]
    assert arrivals.late(5.0) == [first, second]
