"""The turns of calls that have come and not begun: whoever sends most waits longest.

gRPC hands calls over in the order in which they came, given up or not. Beginning a call costs many
times what taking it over costs. So all calls are taken over at once, and begin by share in turn.
Whoever gives up most of its calls waits besides.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from queen.serving.edge.patience import PER_SECOND, Outcome, Patience
from queen.serving.fairness.fair_queue import FairQueue, Payer

C = TypeVar("C")

AT_ONCE = 2
"""Calls that begin in one turn of the event loop: whatever else is due waits for them."""
MOST_WAITING = 2048
"""Calls that wait to begin; one more makes one of the share that has most give way."""
_TRUSTED = "trusted"


class Loop(Protocol):
    """The parts of an event loop that turns are taken in."""

    def time(self) -> float:
        """Seconds, of a clock that goes forward."""

    def call_soon(self, callback: Callable[[], Any], /) -> Any:
        """Call a function in the next turn."""

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> Any:
        """Call a function after `delay` seconds."""


class Turns(Generic[C]):
    """Calls that wait to begin.

    `begin` begins a call; `refuse` is given one that gives way. The share of callers that are
    trusted is None: they wait for their turn, and for nothing else.
    """

    def __init__(self, begin: Callable[[C], None], refuse: Callable[[C], None], loop: Loop) -> None:
        self._begin = begin
        self._refuse = refuse
        self._loop = loop
        self._patience = Patience(loop.time)
        self._line: FairQueue[tuple[str, C]] = FairQueue()
        # Of shares that have given up too many calls.
        self._held: dict[str, deque[C]] = {}
        self._counts: Counter[str] = Counter()
        self._waiting = 0
        self._begun = 0
        self._is_planned = False

    def __len__(self) -> int:
        """Calls that wait."""
        return self._waiting

    def append(self, share: str | None, call: C) -> None:
        """A call has come: it begins at once if no other waits and few have begun in this turn."""
        name = _TRUSTED if share is None else share
        if name not in self._held and self._begun < AT_ONCE and not self._line:
            self._begin_or_hold(name, call)
        else:
            self._count(name, 1)
            if name in self._held:
                self._held[name].append(call)
            else:
                self._line.append(Payer(name, name), (name, call))
        if self._waiting > MOST_WAITING:
            self._give_way()
        self._plan()

    def end(self, share: str | None, outcome: Outcome) -> None:
        """A call that has begun is over."""
        if share is not None:
            self._patience.end(share, outcome)
            if outcome == "answered" and share in self._held:
                self._line_up(share, 1)

    def _plan(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._begun = 0
        while self._line and self._begun < AT_ONCE:
            name, call = self._line.pop(1)
            self._count(name, -1)
            self._begin_or_hold(name, call)
        self._is_planned = False
        if self._begun:
            self._plan()

    def _begin_or_hold(self, name: str, call: C) -> None:
        if name == _TRUSTED or self._patience.left(name) >= 1:
            self._begun += 1
            self._begin(call)
            return
        self._count(name, 1)
        if name not in self._held:
            self._held[name] = deque()
            self._loop.call_later(1 / PER_SECOND, partial(self._release, name))
        self._held[name].append(call)

    def _release(self, name: str) -> None:
        """Let as many of a share's calls as it may give up wait for their turn.

        It is called again and again, until none of them is held.
        """
        self._line_up(name, int(self._patience.left(name)))
        if self._held[name]:
            self._loop.call_later(1 / PER_SECOND, partial(self._release, name))
        else:
            del self._held[name]

    def _line_up(self, name: str, count: int) -> None:
        """The newest of the calls that are held: whoever sent the older ones may have left."""
        held = self._held[name]
        for _ in range(min(count, len(held))):
            self._line.append(Payer(name, name), (name, held.pop()))
        self._plan()

    def _give_way(self) -> None:
        name = max(self._counts, key=self._counts.__getitem__)
        held = self._held.get(name)
        call = held.popleft() if held else self._line.pop_newest(name)[1]
        self._count(name, -1)
        self._refuse(call)

    def _count(self, name: str, change: int) -> None:
        self._waiting += change
        self._counts[name] += change
        if not self._counts[name]:
            del self._counts[name]
