"""The messages that arrive at once: as many as memory holds, and the others wait their turn.

gRPC lets a whole message in once it is asked for it. Until then it holds no more of the call than
a window of HTTP/2. So a call asks for its message only when there is room for the largest one.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Arriving(Protocol):
    """A call whose message arrives, or waits for room."""

    @property
    def share(self) -> str | None:
        """Whose share of the room it has."""

    @property
    def began(self) -> float:
        """When it got the room, or began to wait, in seconds."""


C = TypeVar("C", bound=Arriving)


@dataclass
class Arrivals(Generic[C]):
    """Room for `most` messages at once.

    While calls wait, a message that has had its room for `young_seconds` gives way: the newest one
    of the share that has most, if that is more than the share of the waiting call has. With
    `oldest_first` it is the oldest one, for any call that waits.
    """

    most: int
    young_seconds: float
    oldest_first: bool = False
    # Both in the order of their beginnings.
    _arriving: dict[C, None] = field(default_factory=dict)
    _waiting: dict[C, Future[None]] = field(default_factory=dict)
    _counts: Counter[str | None] = field(default_factory=Counter)

    @property
    def is_contested(self) -> bool:
        """Whether calls wait for room."""
        return bool(self._waiting)

    @property
    def oldest(self) -> C | None:
        """The call that has had its room for longest; None if no message arrives."""
        return next(iter(self._arriving), None)

    def __bool__(self) -> bool:
        return bool(self._arriving or self._waiting)

    def enter(self, call: C) -> Future[None] | None:
        """Give a call room; while there is none, the future to wait for."""
        if len(self._arriving) < self.most and not self._waiting:
            self._give_room(call)
            return None
        turn = get_running_loop().create_future()
        self._waiting[call] = turn
        return turn

    def leave(self, call: C) -> list[C]:
        """Take a call's room, or its place among those that wait; the calls that got room by it."""
        if self._waiting.pop(call, None) is not None or call not in self._arriving:
            return []
        del self._arriving[call]
        self._counts[call.share] -= 1
        if not self._counts[call.share]:
            del self._counts[call.share]
        return self._go_on()

    def late(self, began_before: float) -> list[C]:
        """The calls that have had room, or have waited for it, since before that time."""
        return [
            call
            for calls in (self._arriving, self._waiting)
            for call in _older(calls, began_before)
        ]

    def givers(self, now: float) -> list[C]:
        """The calls that should give way, at most one for each call that waits."""
        grown = _older(self._arriving, now - self.young_seconds)
        if self.oldest_first:
            return grown[: len(self._waiting)]
        counts, chosen = self._counts.copy(), list[C]()
        for waiting in self._waiting:
            if not grown:
                break
            heaviest = max((call.share for call in grown), key=counts.__getitem__)
            if counts[heaviest] <= counts[waiting.share] + 1:
                continue
            # Its newest: so its older messages come to an end.
            giver = next(call for call in reversed(grown) if call.share == heaviest)
            grown.remove(giver)
            chosen.append(giver)
            counts[heaviest] -= 1
            counts[waiting.share] += 1
        return chosen

    def _go_on(self) -> list[C]:
        """Give room to those that wait, first to the shares that have least."""
        begun = []
        while self._waiting and len(self._arriving) < self.most:
            call = min(self._waiting, key=lambda waiting: self._counts[waiting.share])
            turn = self._waiting.pop(call)
            if not turn.done():
                self._give_room(call)
                begun.append(call)
                turn.set_result(None)
        return begun

    def _give_room(self, call: C) -> None:
        self._arriving[call] = None
        self._counts[call.share] += 1


def _older(calls: dict[C, object] | dict[C, None] | dict[C, Future[None]], began: float) -> list[C]:
    """The calls that began before that time, the oldest first."""
    older = []
    for call in calls:
        if call.began > began:
            break
        older.append(call)
    return older
