"""How large the perturber's turns are."""

from __future__ import annotations

from queen_perturber.turns import TURN_SECONDS, Turns


def test_a_turn_grows_and_shrinks_with_what_a_row_takes() -> None:
    """Quick rows make it long little by little, one slow turn makes it short at once."""
    turns = Turns()
    first = turns.rows
    sizes = []
    for _ in range(100):
        turns.took(turns.rows, 1e-5 * turns.rows)
        sizes.append(turns.rows)
    assert sizes == sorted(sizes)
    assert first < sizes[0] < 2 * first
    assert TURN_SECONDS / 1.1e-5 < sizes[-1] <= TURN_SECONDS / 1e-5
    turns.took(turns.rows, 0.01 * turns.rows)
    assert turns.rows == round(TURN_SECONDS / 0.01)


def test_a_turn_has_a_row_at_least_and_is_finite() -> None:
    """Whatever the clock said."""
    turns = Turns()
    turns.took(1, 3600.0)
    assert turns.rows == 1
    turns = Turns()
    for _ in range(1000):
        turns.took(1, 0.0)
    assert turns.rows <= 1_000_000
