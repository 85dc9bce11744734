"""The calls in work of a server: how many there are, how many bytes they hold, and since when.

A call passes through three states. While its message *arrives*, gRPC may hold as much of it as the
largest message has. While it is *worked on*, the message's bytes are held. While its answer is
*sent*, the answer's bytes are held until the caller has read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from queen.errors import Overloaded
from queen.serving.edge.arrivals import Arrivals
from queen.serving.edge.grpc_server import STRANGER, Rpc, current_rpc

Why = Literal["calls", "bytes", "headers", "gave_way", "slow_request", "unread_answer"]
WHYS: tuple[Why, ...] = ("calls", "bytes", "headers", "gave_way", "slow_request", "unread_answer")
"""Why the edge refuses or drops a call: too many calls, too many bytes, too many header fields, a
message that was still arriving when others needed its room, one that took too long, and an answer
that nobody reads."""

SHARE = 4
"""An account holds at most one of this many parts of the calls and of the bytes."""
STRANGERS_SHARE = 8
"""All callers without a credential together hold at most one of this many parts of the calls."""
FEWEST_ARRIVING = 4
MOST_STRANGERS_ARRIVING = 4
"""Messages of strangers that arrive at once; each may grow to the largest message."""
YOUNG_SECONDS = 0.1
"""Time in which a message that arrives gives way to none."""
SWEEP_SECONDS = 0.1
SOON_SECONDS = 0.01
"""Times between two looks at what waits; the shorter one while calls wait for room."""
_REFUSED = "the server has too much in work; retry, or send less at once"
_GAVE_WAY = "the message took longer to arrive than the server had room for it; retry"


@dataclass(frozen=True)
class CallLimits:
    """Bounds on the calls in work of a server; times in seconds."""

    calls: int
    bytes: int
    """Half of them for messages that arrive, half for messages and answers that are held."""
    message_bytes: int
    request_seconds: float
    answer_seconds: float
    gives_way: bool = False
    """Whether, with too many calls, the oldest that waits for its caller is dropped for a newcomer;
    for a port on which honest callers send at once and wait for the answer."""

    @property
    def arriving(self) -> int:
        """Most messages that arrive at once."""
        return max(FEWEST_ARRIVING, self.bytes // 2 // self.message_bytes)

    @property
    def held_bytes(self) -> int:
        """Most bytes of messages and answers that are held."""
        return self.bytes // 2


@dataclass(eq=False, slots=True)
class Call:
    """A call in work; `share` names who is charged for it, None for a caller that is trusted."""

    share: str | None
    work: asyncio.Task[Any] | None
    rpc: Rpc | None
    held: int = 0
    began: float = 0.0
    is_dropped: Why | None = None

    def drop(self, why: Why) -> None:
        """End the call, whatever its caller does; there is no status that could reach them."""
        self.is_dropped = why
        if self.work is not None:
            self.work.cancel()
        if self.rpc is not None:
            self.rpc.drop()

    def interrupt(self, why: Why) -> None:
        """End the wait for the caller's message, so that the call ends with an error."""
        self.is_dropped = why
        if self.work is not None:
            self.work.cancel()


@dataclass
class _Share:
    calls: int = 0
    held: int = 0


@dataclass
class CallsInWork:
    """Bounds the calls of all methods of a process together.

    `count` is told why each call was refused or dropped. `clock` is in seconds, and `later` calls
    a function after some seconds: those of the event loop, unless a test has its own.
    """

    limits: CallLimits
    count: Callable[[Why], None]
    clock: Callable[[], float]
    later: Callable[[float, Callable[[], None]], Any]
    held: int = 0
    _all: set[Call] = field(default_factory=set)
    _shares: dict[str | None, _Share] = field(default_factory=dict)
    # In the order of their beginnings.
    _sending: dict[Call, None] = field(default_factory=dict)
    _is_swept: bool = False

    def __post_init__(self) -> None:
        self._arrivals = Arrivals[Call](self.limits.arriving, YOUNG_SECONDS)
        # The oldest gives way, since an honest stranger's message comes with its headers. So a
        # newcomer gets in, however many send messages without an end.
        self._strangers = Arrivals[Call](MOST_STRANGERS_ARRIVING, SOON_SECONDS, oldest_first=True)

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, share: str | None) -> Call:
        """A new call in work, until gRPC is done with it; Overloaded if there are too many.

        Too many of all calls, or of those of that share.
        """
        current = self._shares.get(share)
        if current is None:
            current = self._shares[share] = _Share()
        is_full = len(self._all) >= self.limits.calls or current.calls >= self._most_calls(share)
        if is_full and not self._give_way():
            if not current.calls:
                del self._shares[share]
            raise self._refused("calls")
        current.calls += 1
        try:
            work = asyncio.current_task()
        except RuntimeError:
            work = None
        call = Call(share, work, current_rpc())
        self._all.add(call)
        if call.rpc is not None:
            call.rpc.when_over.append(partial(self.leave, call))
        return call

    def leave(self, call: Call) -> None:
        """The call is over, and its answer read; a second time is ignored."""
        if call not in self._all:
            return
        self._all.remove(call)
        # Else the call, its tasks and their frames would refer to each other in a circle.
        call.work = call.rpc = None
        self._make_room(call)
        self._sending.pop(call, None)
        self._hold(call, 0)
        share = self._shares[call.share]
        share.calls -= 1
        if not share.calls:
            del self._shares[call.share]

    def arrives(self, call: Call) -> asyncio.Future[None] | None:
        """The call wants its message; while there is no room for it, the future to wait for."""
        call.began = self.clock()
        turn = self._arrivals_of(call).enter(call)
        self._sweep_later()
        return turn

    def arrived(self, call: Call, size: int) -> None:
        """The message of the call is there; Overloaded if its bytes are too many to hold."""
        self._make_room(call)
        share = self._shares[call.share]
        most = self.limits.held_bytes
        # A message larger than the share of one account is welcome while that account holds none.
        if self.held + size > most or (
            share.held and share.held + size > self._most_bytes(call.share)
        ):
            raise self._refused("bytes")
        self._hold(call, size)

    def sends(self, call: Call, size: int) -> None:
        """The message of the call is done with, and an answer of `size` bytes is sent.

        Overloaded if its share has other messages in work and answers that nobody reads, and holds
        too much with this one: the answers of some models are larger than their questions.
        """
        others = self._shares[call.share].held - call.held
        is_bounded = call.share is not None and others
        if is_bounded and others + size > self._most_bytes(call.share):
            raise self._refused("bytes")
        call.began = self.clock()
        self._hold(call, size)
        self._sending.pop(call, None)
        self._sending[call] = None
        self._sweep_later()

    def sent(self, call: Call) -> None:
        """A part of a stream was read."""
        self._sending.pop(call, None)
        self._hold(call, 0)

    def sweep(self) -> None:
        """End what has waited for its caller for too long, and what others need the room of."""
        now = self.clock()
        for call in list(self._sending):
            if call.began > now - self.limits.answer_seconds:
                break
            self._sending.pop(call)
            self.count("unread_answer")
            call.drop("unread_answer")
        for arrivals in (self._arrivals, self._strangers):
            for call in arrivals.late(now - self.limits.request_seconds):
                self._interrupt(call, "slow_request")
            for call in arrivals.givers(now):
                self._interrupt(call, "gave_way")

    def _give_way(self) -> bool:
        """Drop the oldest call that waits for its caller, if the port does so and there is one."""
        oldest = self._arrivals.oldest or next(iter(self._sending), None)
        if not self.limits.gives_way or oldest is None:
            return False
        self._make_room(oldest)
        self._sending.pop(oldest, None)
        self.count("gave_way")
        oldest.drop("gave_way")
        return True

    def _interrupt(self, call: Call, why: Why) -> None:
        self._make_room(call)
        self.count(why)
        call.interrupt(why)

    def _arrivals_of(self, call: Call) -> Arrivals[Call]:
        return self._strangers if call.share == STRANGER else self._arrivals

    def _make_room(self, call: Call) -> None:
        """The message of a call arrives no more."""
        now = self.clock()
        for begun in self._arrivals_of(call).leave(call):
            begun.began = now

    def _hold(self, call: Call, size: int) -> None:
        self.held += size - call.held
        self._shares[call.share].held += size - call.held
        call.held = size

    def _most_calls(self, share: str | None) -> int:
        if share is None:
            return self.limits.calls
        return max(1, self.limits.calls // (STRANGERS_SHARE if share == STRANGER else SHARE))

    def _most_bytes(self, share: str | None) -> int:
        return self.limits.held_bytes if share is None else self.limits.held_bytes // SHARE

    def _refused(self, why: Why) -> Overloaded:
        self.count(why)
        return Overloaded(_REFUSED)

    def _sweep_later(self) -> None:
        if not self._is_swept:
            self._is_swept = True
            is_contested = self._arrivals.is_contested or self._strangers.is_contested
            self.later(SOON_SECONDS if is_contested else SWEEP_SECONDS, self._sweep_and_go_on)

    def _sweep_and_go_on(self) -> None:
        self._is_swept = False
        self.sweep()
        if self._arrivals or self._strangers or self._sending:
            self._sweep_later()


def gave_way() -> Overloaded:
    """The error of a call whose message was interrupted for others."""
    return Overloaded(_GAVE_WAY)
