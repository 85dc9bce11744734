"""A queue whose items are served by owner in turn, and within an owner by member in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from queen.serving.fairness.rota import Rota

T = TypeVar("T")


class Payer(NamedTuple):
    """The owner that work is charged to, and the member of it that sent the work."""

    owner: str
    member: str


class FairQueue(Generic[T]):
    """Items of members of owners: members of one owner share its turns.

    The items of a member stay in their order. An item may be served in several turns: `serve`
    charges one of them, `pop` the last.
    """

    def __init__(self) -> None:
        self._owners = Rota()
        self._members: dict[str, Rota] = {}
        self._lines: dict[Payer, deque[T]] = {}

    @property
    def owners(self) -> int:
        """Owners that wait."""
        return len(self._owners)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __iter__(self) -> Iterator[T]:
        """All items, in no order that means anything."""
        for line in self._lines.values():
            yield from line

    def append(self, payer: Payer, item: T) -> None:
        """Put an item behind the others of its member."""
        line = self._lines.get(payer)
        if line is not None:
            line.append(item)
            return
        self._lines[payer] = deque((item,))
        if payer.owner not in self._members:
            self._members[payer.owner] = Rota()
            self._owners.join(payer.owner)
        self._members[payer.owner].join(payer.member)

    def first(self) -> T | None:
        """The item whose turn it is; None if there is none."""
        payer = self._first_payer()
        return None if payer is None else self._lines[payer][0]

    def serve(self, work: int) -> None:
        """Charge some work on the item whose turn it is, which stays where it is."""
        payer = self._require_first()
        self._owners.charge(payer.owner, work)
        self._members[payer.owner].charge(payer.member, work)

    def pop(self, work: int) -> T:
        """Remove the item whose turn it is, and charge some work on it."""
        payer = self._require_first()
        self.serve(work)
        item = self._lines[payer].popleft()
        self._leave_if_empty(payer)
        return item

    def waiting_owners(self) -> list[str]:
        """The owners that wait."""
        return list(self._members)

    def pop_newest(self, owner: str) -> T:
        """Remove the newest item of the member of a waiting owner that has the longest line.

        Of lines that are equally long, it is that of the member who came last.
        """
        payers = reversed(self.waiting_payers(owner))
        return self.pop_newest_of(max(payers, key=lambda payer: len(self._lines[payer])))

    def waiting_payers(self, owner: str) -> list[Payer]:
        """The members of an owner that wait, in the order in which they came."""
        return [payer for payer in self._lines if payer.owner == owner]

    def pop_newest_of(self, payer: Payer) -> T:
        """Remove the newest item of a member that waits."""
        item = self._lines[payer].pop()
        self._leave_if_empty(payer)
        return item

    def _require_first(self) -> Payer:
        payer = self._first_payer()
        if payer is None:
            raise IndexError("expected an item that waits, got an empty queue")
        return payer

    def _first_payer(self) -> Payer | None:
        owner = self._owners.first()
        if owner is None:
            return None
        member = self._members[owner].first()
        return None if member is None else Payer(owner, member)

    def _leave_if_empty(self, payer: Payer) -> None:
        if self._lines[payer]:
            return
        del self._lines[payer]
        members = self._members[payer.owner]
        members.leave(payer.member)
        if not len(members):
            del self._members[payer.owner]
            self._owners.leave(payer.owner)
