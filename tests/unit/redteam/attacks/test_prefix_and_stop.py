"""Prefix and stop: only the answers before the crossing are learned."""

from __future__ import annotations

from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    after,
    garbage,
    score,
    steal,
    thief_with,
    undefended,
)


def test_the_thief_stops_at_the_crossing() -> None:
    """Garbage after 300 answers ends the attack, and the copy is one of 300 clean answers."""
    copy, meter = steal("prefix-and-stop", DistortedTarget(after(300, garbage)), thief_with(MANY))
    assert 300 < meter.spent < 380
    assert score(copy) > score(undefended("knockoff", 280)) - 0.03
