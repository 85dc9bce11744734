"""Semi-supervised: the pool is learned beside the clean answers alone."""

from __future__ import annotations

import pytest

from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    after,
    garbage,
    score,
    steal,
    thief_with,
)


@pytest.mark.parametrize("name", ["ssl-prefix", "ssl-active"])
def test_garbage_after_the_crossing_is_not_learned(name: str) -> None:
    """Two hundred clean answers and the pool make a good copy, whatever is answered later."""
    copy, meter = steal(name, DistortedTarget(after(201, garbage)), thief_with(MANY))
    assert meter.spent < 320
    assert score(copy) > 0.85
