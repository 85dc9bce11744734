"""The accounts of a survey that are compared, and the links that are kept."""

from __future__ import annotations

from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.accounts import AccountState
from queen_sensitivity.survey.comparison import AccountPool, Comparison, SuggestedLink

from tests.unit.sensitivity.regions import CLASSES
from tests.unit.sensitivity.survey.surveys import (
    GEOMETRY,
    HONEST,
    THIEVES,
    reader_of,
    survey_of,
    surveyor_of,
)


def compare(states: list[AccountState], size: int) -> Comparison:
    """The comparison of a pool of that size to which the accounts were offered in order."""
    pool = AccountPool(GEOMETRY, size)
    for state in states:
        pool.offer(state)
    return pool.compare(lambda: True, lambda: 0.0)


def size_of(states: list[AccountState]) -> int:
    """The size that a pool needs for these accounts."""
    return sum(state.record_count + CLASSES for state in states)


def test_the_accounts_with_the_fewest_records_are_not_compared(
    populated: MemoryLedgerStore,
) -> None:
    """Memory is bounded; a pool with room for half compares the half with most records."""
    states, _ = reader_of(populated).page("", 100)
    by_size = sorted(states, key=lambda state: (-state.record_count, state.account_id))
    largest = by_size[: len(by_size) // 2]
    while largest[-1].record_count == by_size[len(largest)].record_count:
        largest.pop()
    comparison = compare(states, size_of(largest))
    assert comparison.accounts_left_out == len(states) - len(largest) > 0
    assert comparison.links == compare(largest, size_of(largest)).links


def test_a_pool_without_room_leaves_every_account_out(populated: MemoryLedgerStore) -> None:
    """The totals of the survey do not change."""
    small = survey_of(surveyor_of(populated, pool_size=0))
    assert small.comparison.accounts_left_out == len(HONEST) + len(THIEVES)
    assert small.comparison.links == ()
    assert small.totals == survey_of(surveyor_of(populated)).totals


def test_a_comparison_without_an_account_has_none_of_its_links() -> None:
    """Links that were found but not kept stay in the count."""
    links = tuple(
        SuggestedLink(account, other, 9.0, 12, 1.5, 40, 60)
        for account, other in (("a", "b"), ("c", "a"), ("b", "c"))
    )
    comparison = Comparison(links, 5, 1, 2, 3)
    assert comparison.without({"a"}) == Comparison(links[2:], 3, 1, 2, 3)
    assert comparison.without({"x"}) == comparison
