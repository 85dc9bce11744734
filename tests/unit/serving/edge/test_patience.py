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


def begun(patience: Patience, share: str, outcome: Outcome) -> int:
    """Calls in turn that begin and end so, up to twice the most."""
    for count in range(round(2 * MOST)):
        if not patience.begin(share):
            return count
        patience.end(share, outcome)
    return round(2 * MOST)


@pytest.mark.parametrize(
    ("outcome", "count"), [("given_up", MOST), ("answered", 2 * MOST), ("refused", 2 * MOST)]
)
def test_calls_that_are_given_up_are_counted(outcome: Outcome, count: int) -> None:
    """All others may be as many as they like."""
    assert begun(Patience(Clock()), "alice", outcome) == count


def test_a_share_that_gives_up_less_than_half_never_waits() -> None:
    """However many its calls are."""
    patience = Patience(Clock())
    for _ in range(round(2 * MOST)):
        for outcome in ("given_up", "answered"):
            assert patience.begin("alice")
            patience.end("alice", outcome)


def test_shares_do_not_pay_for_each_other() -> None:
    """And one that gave up nothing is not remembered."""
    patience = Patience(Clock())
    begun(patience, "alice", "given_up")
    assert patience.begin("bob")
    assert len(patience) == 2
    patience.end("bob", "answered")
    assert len(patience) == 1


def test_patience_comes_back_with_time() -> None:
    """At its own pace, and no more than there was."""
    clock = Clock()
    patience = Patience(clock)
    begun(patience, "alice", "given_up")
    assert patience.wait_seconds("alice") == pytest.approx(1 / PER_SECOND)
    clock.now += 3 / PER_SECOND
    assert patience.wait_seconds("alice") > 0
    assert begun(patience, "alice", "given_up") == 3
    clock.now += 2 * MOST / PER_SECOND
    assert begun(patience, "alice", "given_up") == MOST
    assert patience.wait_seconds("bob") == 0


def test_calls_in_work_count_until_they_are_over() -> None:
    """Whoever has that many at once cannot give all of them up for free."""
    patience = Patience(Clock())
    for _ in range(round(MOST)):
        assert patience.begin("alice")
    assert not patience.begin("alice")
    patience.end("alice", "refused")
    assert patience.begin("alice")
    patience.end("nobody", "answered")
    assert len(patience) == 1
