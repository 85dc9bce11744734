"""The goals of the bench of the ledgers."""

from __future__ import annotations

from queen.bench.state.goals import Goal


def test_goals_say_whether_they_are_met() -> None:
    """Bounds are part of what they bound, and a measure without a goal has no verdict."""
    ratio = Goal("key", "title", 0.8, 1.2)
    assert ratio.verdict(1.2) == ">= 0.8, <= 1.2 met"
    assert ratio.verdict(0.79) == ">= 0.8, <= 1.2 MISSED"
    assert Goal("key", "title", least=100_000).verdict(99_999) == ">= 100,000 MISSED"
    assert Goal("key", "title").verdict(5.0) == ""
