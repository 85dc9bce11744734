"""The circuit breaker, with a clock of its own."""

from __future__ import annotations

from queen_sensitivity.ledger_store.redis.breaker import CircuitBreaker


def test_it_opens_after_failures_in_a_row_and_lets_one_trial_through() -> None:
    """A success in between starts the count again; a cool-down later, a single call may try."""
    now = [0.0]
    breaker = CircuitBreaker(3, 10.0, clock=lambda: now[0])
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed):
        assert breaker.admits()
        outcome()
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    now[0] = 9.9
    assert not breaker.admits()
    now[0] = 10.0
    assert [breaker.admits(), breaker.admits()] == [True, False]


def test_a_failed_trial_waits_again_and_a_good_one_closes_it() -> None:
    """Each trial is a cool-down after the last trial."""
    now = [0.0]
    breaker = CircuitBreaker(1, 10.0, clock=lambda: now[0])
    breaker.failed()
    now[0] = 12.0
    assert breaker.admits()
    breaker.failed()
    now[0] = 21.9
    assert not breaker.admits()
    now[0] = 22.0
    assert breaker.admits()
    breaker.succeeded()
    assert [breaker.admits(), breaker.admits()] == [True, True]


def test_a_trial_that_never_ends_does_not_hold_it_open() -> None:
    """If a trial has no outcome, the next trial is a cool-down later."""
    now = [0.0]
    breaker = CircuitBreaker(1, 10.0, clock=lambda: now[0])
    breaker.failed()
    now[0] = 10.0
    assert breaker.admits()
    now[0] = 19.9
    assert not breaker.admits()
    now[0] = 20.0
    assert breaker.admits()
