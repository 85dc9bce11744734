"""A bounded room that owners share: an owner may hold as much as it leaves free."""

from __future__ import annotations

from collections import Counter


class Room:
    """Holds up to `size` of something (rows, bytes), by owner.

    An owner may hold as much as is free once it holds it: alone at most half, and n owners one
    (n + 1)th each. So there is always some room left for an owner who comes later, and no bound of
    one owner has to be stated. The room can be empty and too small: then it still takes one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: Counter[str] = Counter()
        self.used = 0

    def admit(self, owner: str, amount: int) -> bool:
        """Let `owner` hold `amount` more, if it may; whether it may."""
        free = self._size - self.used - amount
        if self.used and self._held[owner] + amount > free:
            return False
        self._held[owner] += amount
        self.used += amount
        return True

    def release(self, owner: str, amount: int) -> None:
        """Give back what an owner was let hold."""
        self.used -= amount
        self._held[owner] -= amount
        if not self._held[owner]:
            del self._held[owner]
