"""A target that records its traffic."""

from __future__ import annotations

import numpy as np

from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers
from queen.redteam.targets.recording import RecordingTarget

QUERIES = np.arange(4, dtype=np.float32)[:, None]


class Echo:
    """An account that answers with its query, or not at all within less than a second."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def ask(self, queries: Images) -> Answers:
        """The queries as answers."""
        return self.sign * queries

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """The queries as answers, if there is time."""
        return self.ask(queries) if seconds >= 1 else None


class Patient:
    """An account without deadlines."""

    def ask(self, queries: Images) -> Answers:
        """The queries as answers."""
        return queries


class Endpoint:
    """Hands out the same account under every name."""

    num_classes = 1

    def __init__(self, account: Echo | Patient) -> None:
        self.account = account

    def open_account(self, _name: str) -> Echo | Patient:
        """The account."""
        return self.account


def test_the_same_queries_are_compared_with_a_clean_account() -> None:
    """Exchange by exchange, under the names of the accounts that asked."""
    target = RecordingTarget(Endpoint(Echo()))
    target.open_account("a").ask(QUERIES[:3])
    target.open_account("b").ask(QUERIES[3:])
    assert target.num_classes == 1
    assert target.traffic.own is None
    compared = target.compared_with(Echo(sign=-1.0))
    assert compared.own is not None
    np.testing.assert_array_equal(compared.own, -QUERIES)
    np.testing.assert_array_equal(compared.of("b").answers, QUERIES[3:])


def test_a_late_answer_is_no_traffic() -> None:
    """It is None for the thief, and nothing for the record."""
    target = RecordingTarget(Endpoint(Echo()))
    account = target.open_account("a")
    assert account.ask_within(QUERIES, 0.5) is None
    assert target.traffic.queries == 0
    assert account.ask_within(QUERIES, 1.5) is not None
    assert target.traffic.queries == 4


def test_an_account_without_deadlines_is_asked_plainly() -> None:
    """It answers always, and is recorded."""
    target = RecordingTarget(Endpoint(Patient()))
    assert target.open_account("a").ask_within(QUERIES, 0.0) is not None
    assert target.traffic.queries == 4
