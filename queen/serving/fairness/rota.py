"""A rota: whose turn it is among owners that wait.

Start-time fair queueing: every owner has a mark, the work that it was served, and the turn is that
of the lowest mark. No clock and no randomness: the same calls give the same turns.
"""

from __future__ import annotations

from heapq import heappop, heappush

_KEPT_MARKS = 64


class Rota:
    """Names that wait for turns; equal marks go in the order in which the names came.

    A name that begins to wait starts no lower than the name whose turn it is: idle time earns
    nothing. A name that is charged for more than its turn waits longer for the next. Once no name
    waits, all marks are forgotten: nobody had to wait for anybody.
    """

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._order = 0
        self._most_marks = _KEPT_MARKS

    def __len__(self) -> int:
        """Names that wait."""
        return len(self._places)

    def join(self, name: str) -> None:
        """`name` begins to wait; it may wait already."""
        if name not in self._places:
            self._marks[name] = max(self._marks.get(name, 0), self._lowest())
            self._push(name)

    def leave(self, name: str) -> None:
        """`name` waits no longer; its mark is kept, so that leaving pays no debt."""
        del self._places[name]
        if not self._places:
            self._forget()
        elif len(self._marks) > self._most_marks:
            self._forget_idle()

    def charge(self, name: str, work: int) -> None:
        """`name`, which waits, was served some work or owes it."""
        self._marks[name] += work
        self._push(name)

    def first(self) -> str | None:
        """The name whose turn it is; None if no name waits."""
        while self._heap:
            _, order, name = self._heap[0]
            if self._places.get(name) == order:
                return name
            heappop(self._heap)
        return None

    def _lowest(self) -> int:
        name = self.first()
        return 0 if name is None else self._marks[name]

    def _push(self, name: str) -> None:
        # The entry that a name had before is recognized by its older order, and skipped.
        self._order += 1
        self._places[name] = self._order
        heappush(self._heap, (self._marks[name], self._order, name))

    def _forget(self) -> None:
        self._marks.clear()
        self._heap.clear()

    def _forget_idle(self) -> None:
        lowest = self._lowest()
        self._marks = {
            name: mark
            for name, mark in self._marks.items()
            if name in self._places or mark > lowest
        }
        self._most_marks = max(_KEPT_MARKS, 2 * len(self._marks))
