"""How many calls each share may still give up, before its calls have to wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MOST = 512.0
"""Calls that a share may give up at once; as many as one account may have in work."""
PER_SECOND = 50.0
"""Calls that a share may give up each second for good."""

Outcome = Literal["answered", "refused", "given_up"]
"""How a call ended: with an answer, with an error, or because its caller had left."""
_GIVEN_BACK: dict[Outcome, float] = {"answered": 2, "refused": 1, "given_up": 0}


@dataclass(slots=True)
class _Credit:
    left: float
    at: float


class Patience:
    """A call that begins costs its share one, which it gets back if it does not give the call up.

    An answer gives back two. So a share that gives up fewer calls than it lets be answered never
    has to wait, however many they are. `clock` is in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Shares that are not here have MOST.
        self._credits: dict[str, _Credit] = {}

    def __len__(self) -> int:
        """Shares that gave up calls, or have calls in work."""
        return len(self._credits)

    def begin(self, share: str) -> bool:
        """Let a call of a share begin, if it may; whether it may."""
        credit = self._credits.get(share)
        if credit is None:
            credit = self._credits[share] = _Credit(MOST, self._clock())
        self._renew(credit)
        if credit.left < 1:
            return False
        credit.left -= 1
        return True

    def end(self, share: str, outcome: Outcome) -> None:
        """A call that has begun is over."""
        credit = self._credits.get(share)
        if credit is None:
            return
        credit.left += _GIVEN_BACK[outcome]
        self._renew(credit)
        if credit.left >= MOST:
            del self._credits[share]

    def wait_seconds(self, share: str) -> float:
        """Time until one more call of a share may begin."""
        credit = self._credits.get(share)
        return 0.0 if credit is None else max(0.0, 1 - credit.left) / PER_SECOND

    def _renew(self, credit: _Credit) -> None:
        now = self._clock()
        credit.left = min(MOST, credit.left + PER_SECOND * (now - credit.at))
        credit.at = now
