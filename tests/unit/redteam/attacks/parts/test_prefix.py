"""The prefix: its length."""

from __future__ import annotations

from queen.redteam.attacks.early_trust import scan_lengths
from queen.redteam.attacks.parts.prefix import prefix_length


def test_prefix_lengths_follow_the_budget():
    """A twentieth of many queries, ten a class of fewer, and never more than half."""
    lengths = [prefix_length(asked, 10) for asked in (20_000, 600, 60, 1)]
    assert lengths == [1000, 100, 30, 1]
    assert scan_lengths(20_000, 10) == [200, 400, 1000, 2000, 4000]
    assert scan_lengths(60, 10) == [20]
