"""Early trust: the first answers are believed and no others."""

from __future__ import annotations

import pytest

from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    after_prefix,
    assert_same_copy,
    garbage,
    score,
    steal,
    thief_with,
    undefended,
)


@pytest.mark.parametrize("name", ["early-trust", "early-trust-prefix-only"])
def test_early_trust_ignores_what_comes_later(name: str):
    """Garbage after the first answers leaves the very copy that no garbage leaves."""
    copy, _ = steal(name, DistortedTarget(after_prefix(garbage)), thief_with(MANY))
    assert_same_copy(copy, undefended(name, MANY))


def test_the_scan_stops_before_the_garbage():
    """A prefix that reaches into garbage agrees less with the first answers and is not chosen."""
    copy, _ = steal("early-trust-scan", DistortedTarget(after_prefix(garbage)), thief_with(MANY))
    assert score(copy) > 0.75
