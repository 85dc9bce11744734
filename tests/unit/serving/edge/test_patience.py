"""How many calls a share may give up, at times that the test sets."""

from __future__ import annotations

import pytest

from queen.serving.edge.patience import MOST, PER_SECOND, Outcome, Patience


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def ended(patience: Patience, share: str, *outcomes: Outcome) -> float:
    """Calls that a share may give up after some calls have ended."""
    for outcome in outcomes:
        patience.end(share, outcome)
    return patience.left(share)


def test_calls_that_are_given_up_are_counted() -> None:
    """All others may be as many as they like."""
    patience = Patience(Clock())
    assert ended(patience, "alice", *["answered", "refused"] * 500) == MOST
    assert len(patience) == 0
    assert ended(patience, "alice", *["given_up"] * 10, "refused") == MOST - 10
    assert ended(patience, "alice", *["answered"] * 3) == MOST - 7


def test_a_share_that_gives_up_less_than_half_never_waits() -> None:
    """However many its calls are."""
    patience = Patience(Clock())
    for _ in range(1000):
        assert ended(patience, "alice", "given_up") >= 1
        ended(patience, "alice", "answered")


def test_shares_do_not_pay_for_each_other() -> None:
    """And one that has all of its patience again is not remembered."""
    patience = Patience(Clock())
    ended(patience, "alice", *["given_up"] * 100)
    assert ended(patience, "bob", "given_up") == MOST - 1
    assert len(patience) == 2
    ended(patience, "bob", "answered")
    assert len(patience) == 1


def test_patience_comes_back_with_time() -> None:
    """At its own pace, no more than there was, and however many calls were given up at once."""
    clock = Clock()
    patience = Patience(clock)
    assert ended(patience, "alice", *["given_up"] * 1000) == 0
    clock.now += 3 / PER_SECOND
    assert patience.left("alice") == pytest.approx(3)
    clock.now += 2 * MOST / PER_SECOND
    assert patience.left("alice") == MOST
