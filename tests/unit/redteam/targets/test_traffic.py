"""The evaluator's record of a target."""

from __future__ import annotations

import numpy as np

from queen.redteam.targets.traffic import Exchange, Traffic

SURE = np.eye(3, dtype=np.float32)


def test_exchanges_are_joined_in_the_order_they_were_sent() -> None:
    """Answers, the protectee's own and flags of all accounts, or of one."""
    first = Exchange("a", SURE[[0, 1]], SURE[[0, 0]], np.array([False, True]))
    second = Exchange("b", SURE[[2]], SURE[[2]], np.array([False]))
    traffic = Traffic([first, second])
    assert traffic.queries == 3
    assert traffic.answers.argmax(axis=1).tolist() == [0, 1, 2]
    assert traffic.own is not None
    assert traffic.own.argmax(axis=1).tolist() == [0, 0, 2]
    assert traffic.is_reversed is not None
    assert traffic.is_reversed.tolist() == [False, True, False]
    assert list(traffic.of("b")) == [second]


def test_a_part_that_is_unknown_once_is_unknown_for_all() -> None:
    """Half of the verdicts would be a wrong share."""
    known = Exchange("a", SURE, SURE, np.zeros(3, bool))
    unknown = Exchange("a", SURE, None, None)
    traffic = Traffic([known, unknown])
    assert traffic.own is None
    assert traffic.is_reversed is None
    assert Traffic().own is None
