"""The meter of an attack, and accounts of targets in this process."""

from __future__ import annotations

import numpy as np
import pytest

from queen.errors import BudgetExceeded
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, LocalAccount, MeteredTarget


class EvenTarget:
    """Answers every query with two even classes, and keeps the sizes of its batches."""

    num_classes = 2

    def __init__(self, batch_rows: int | None = None) -> None:
        self.batch_rows = batch_rows
        self.batches: list[int] = []

    def open_account(self, _name: str) -> LocalAccount:
        """An account; all are alike."""
        return LocalAccount(self.answer, self.num_classes, self.batch_rows)

    def answer(self, queries: Images) -> Answers:
        """Even probabilities."""
        self.batches.append(len(queries))
        return np.full((len(queries), 2), 0.5, np.float32)


def rows(count: int) -> Images:
    """Queries of one number each."""
    return np.zeros((count, 1), np.float32)


def test_every_row_of_every_account_is_charged_to_one_budget() -> None:
    """The second copy of an image costs as much as the first."""
    meter = MeteredTarget(EvenTarget(), 10)
    meter.open_account("a").ask(rows(4))
    meter.open_account("b").ask(rows(4))
    assert (meter.spent, meter.left) == (8, 2)


def test_a_batch_that_is_not_covered_is_not_sent() -> None:
    """The error comes before any query, and nothing is charged."""
    target = EvenTarget()
    meter = MeteredTarget(target, 3)
    with pytest.raises(BudgetExceeded, match="at most 3 more queries of 3, got 4"):
        meter.open_account("a").ask(rows(4))
    assert target.batches == []
    assert meter.left == 3


def test_an_account_without_deadlines_answers_always() -> None:
    """A deadline is charged like a query, and ignored where there is no clock."""
    meter = MeteredTarget(EvenTarget(), 5)
    answers = meter.open_account("a").ask_within(rows(5), seconds=0.0)
    assert answers is not None
    assert len(answers) == 5
    assert meter.left == 0


@pytest.mark.parametrize(("batch_rows", "batches"), [(4, [4, 4, 2]), (None, [10])])
def test_a_local_account_asks_in_batches(batch_rows: int | None, batches: list[int]) -> None:
    """All rows come back in order; without a size they are one batch."""
    target = EvenTarget(batch_rows)
    assert target.open_account("a").ask(rows(10)).shape == (10, 2)
    assert target.batches == batches


def test_no_queries_get_no_answers() -> None:
    """Nothing is asked, and the shape is that of no answers."""
    target = EvenTarget()
    assert target.open_account("a").ask(rows(0)).shape == (0, 2)
    assert target.batches == []
