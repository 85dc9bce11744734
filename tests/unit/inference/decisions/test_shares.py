"""Shares of the decision log: what an owner may fill, and what is remembered of the rest."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from queen_inference.decisions import shares as decision_shares
from queen_inference.decisions.shares import Shares, size_of
from queen_inference.metrics import InferenceMetrics

from queen.method.contracts import Profile
from queen.serving.auth import Account
from tests.unit.inference.batches import pending_of
from tests.unit.inference.conftest import Counted


def member(name: str, group: str | None = None) -> Account:
    """An account."""
    return Account(name, Profile.STRICT, f"hash-{name}", group)


async def test_members_of_a_group_share_a_minute(metrics: InferenceMetrics) -> None:
    """Alone an owner may fill half of it; the clock begins another."""
    minute = count(1)
    shares = Shares(metrics.decisions_lost, 1000, lambda: next(minute) * 60.0)
    assert shares.begin() == []
    one, two, other = (
        pending_of(account, np.zeros((1, 1)))
        for account in (member("one", "team"), member("two", "team"), member("other"))
    )
    assert shares.admit(one, 400)
    assert not shares.admit(two, 200)
    assert shares.admit(other, 300)
    assert shares.begin() == []
    assert shares.admit(two, 400)


async def test_memory_is_bounded(
    metrics: InferenceMetrics, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more accounts than it remembers, every drop is still counted."""
    monkeypatch.setattr(decision_shares, "MOST_TOLD", 2)
    shares = Shares(metrics.decisions_lost, 1000, lambda: 0.0)
    refused = []
    for name in ("a", "b", "c", "a"):
        pending = pending_of(member(name), np.zeros((5, 1)))
        shares.drop(pending, {"account_hash": name}, "reverse")
        refused.append(shares.is_told(pending))
    assert refused == [False, False, False, True]
    told = {entry.about["account_hash"]: entry.rows for entry in shares.close()}
    assert told == {"a": 10, "b": 5}
    assert counted("queen_decision_log_dropped_total", decision="reverse") == 4
    assert shares.close() == []


def test_a_record_grows_with_its_queries() -> None:
    """The estimate counts the lists of the group and of observed ledgers."""
    assert size_of(0) < size_of(1) < size_of(1, is_grouped=True)
    assert size_of(10) - size_of(0) == 10 * (size_of(1) - size_of(0))
    assert size_of(1, is_observed=True) > size_of(1)
