"""How many calls each share may still give up, before its calls have to wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MOST = 64.0
"""Calls that a share may give up at once."""
PER_SECOND = 50.0
"""Calls that a share may give up each second for good."""
Outcome = Literal["answered", "refused", "given_up"]
"""How a call ended: with an answer, with an error, or because its caller had left."""
_CHANGES: dict[Outcome, float] = {"answered": 1, "refused": 0, "given_up": -1}


@dataclass(slots=True)
class _Credit:
    left: float
    at: float


class Patience:
    """A share loses one for a call that it gives up, and gains one for an answer that it waits for.

    So a share that gives up less than half of its calls keeps some, however many they are. What is
    left is never below 0: a share that gave up a thousand calls at once waits no longer for its
    next than one that gave up a hundred. `clock` is in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Shares that are not here have MOST.
        self._credits: dict[str, _Credit] = {}

    def __len__(self) -> int:
        """Shares that have less than MOST, or had so when one of their calls last ended."""
        return len(self._credits)

    def left(self, share: str) -> float:
        """Calls that a share may still give up; from 1 on its next call may begin."""
        credit = self._credits.get(share)
        if credit is None:
            return MOST
        now = self._clock()
        credit.left = min(MOST, credit.left + PER_SECOND * (now - credit.at))
        credit.at = now
        return credit.left

    def end(self, share: str, outcome: Outcome) -> None:
        """A call of a share is over."""
        credit = self._credits.get(share)
        if credit is None:
            if outcome == "given_up":
                self._credits[share] = _Credit(MOST - 1, self._clock())
            return
        credit.left = max(0.0, self.left(share) + _CHANGES[outcome])
        if credit.left >= MOST:
            del self._credits[share]
