"""How calls share the thread that runs the shadow models."""

from __future__ import annotations

TURN_SECONDS = 0.05
_FIRST_ROWS = 16
_NEW_SHARE = 0.2
_LEAST_SECONDS = 1e-7
"""Of a row: a turn has half a million at most."""


class Turns:
    """How many queries to compute before another call gets its turn.

    Calls take turns, so that a large one does not hold up the others, and one that was given
    up ends with its turn. A turn is about TURN_SECONDS long, by what the last ones took.
    """

    def __init__(self) -> None:
        self._seconds_per_row = TURN_SECONDS / _FIRST_ROWS

    @property
    def rows(self) -> int:
        """At least 1."""
        return max(1, int(TURN_SECONDS / self._seconds_per_row))

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a turn."""
        took, expected = max(seconds / rows, _LEAST_SECONDS), self._seconds_per_row
        # A slow turn counts at once, quick ones little by little: profiles differ in cost.
        self._seconds_per_row = max(took, expected + _NEW_SHARE * (took - expected))
