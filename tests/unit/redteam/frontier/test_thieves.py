"""The clean answers that thieves get under a crossing policy."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.frontier.thieves import THIEVES, class_split, even, hoarding
from tests.unit.redteam.frontier.made import CLASSES, contender, stream

STREAM = stream()


def _crossed(rows: np.ndarray, level: float = 1.0) -> int:
    """Classes that these rows take above so many thresholds, in one ledger each."""
    levels = level * contender(1).levels[:1]
    return int((STREAM.walk.standings(rows[None], levels).passed[0, 0] < len(rows)).sum())


@pytest.mark.parametrize("breadth", [1, 3, 6])
def test_an_even_thief_stops_with_the_query_that_puts_it_over(breadth: int) -> None:
    """That query still has a clean answer; the next has none."""
    rows = even(STREAM, contender(breadth), 1)
    assert rows.tolist() == list(range(len(rows)))
    assert _crossed(rows) == breadth
    assert _crossed(rows[:-1]) == breadth - 1


def test_more_accounts_get_more_answers() -> None:
    """Three accounts that share the stream get nearly three times as many."""
    alone, three = (len(even(STREAM, contender(2), accounts)) for accounts in (1, 3))
    assert 2 * alone < three <= STREAM.queries


@pytest.mark.parametrize("breadth", [1, 2, 4])
def test_a_hoarder_crosses_a_class_less_than_the_breadth(breadth: int) -> None:
    """It takes all images of these classes, and of the others as many as do not cross."""
    rows = hoarding(STREAM, contender(breadth), 1)
    assert _crossed(rows) == breadth - 1
    hoarded = STREAM.ranking[: breadth - 1]
    labels = STREAM.walk.samples.labels[rows]
    for label in range(CLASSES):
        whole = len(STREAM.of_class(label))
        assert ((labels == label).sum() == whole) == (label in hoarded)


def test_a_cap_ends_the_hoard() -> None:
    """No class goes above so many budgets."""
    rows = hoarding(STREAM, contender(3, class_cap=2), 1)
    assert _crossed(rows) == 2
    assert _crossed(rows, level=2.0) == 0
    assert len(rows) < len(hoarding(STREAM, contender(3), 1))


def test_accounts_of_their_own_classes_get_everything_under_a_breadth() -> None:
    """Three accounts of two classes each never cross three; a cap of one class ends that."""
    assert len(class_split(STREAM, contender(3), 3)) == STREAM.queries
    assert len(class_split(STREAM, contender(3, class_cap=2), 3)) < STREAM.queries
    single = class_split(STREAM, contender(1), 1)
    assert np.array_equal(single, even(STREAM, contender(1), 1))


@pytest.mark.parametrize("thief", THIEVES)
@pytest.mark.parametrize("accounts", [1, 3, 10])
def test_no_thief_asks_twice_or_too_much(thief: str, accounts: int) -> None:
    """Rows of the stream in its order, so that equal sets make equal copies."""
    rows = THIEVES[thief](STREAM, contender(3, class_cap=4), accounts)
    assert len(rows) <= STREAM.queries
    assert (np.diff(rows) > 0).all()
