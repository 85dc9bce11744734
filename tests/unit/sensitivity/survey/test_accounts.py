"""Accounts as an operator sees them."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore

from queen.errors import AccountNotFound, InvalidQuery
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.ledger import Verdict
from queen.owners import observed_owner
from tests.unit.sensitivity.regions import (
    CLASSES,
    book_of,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
)
from tests.unit.sensitivity.survey.surveys import HONEST, reader_of, thresholds_of

GEOMETRY = small_geometry()


def test_the_reader_has_the_cqs_of_the_engine_bit_for_bit() -> None:
    """An operator sees the very numbers that decided the verdicts."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    recorded = 0
    for seed in range(4):
        step = book.assess(queries_of(*stream(GEOMETRY, seed, 100)))
        recorded += int((step.verdicts == Verdict.RECORD).sum())
    state = reader_of(store, GEOMETRY).get("a")
    centers = queries_of(GEOMETRY.cluster_centers, np.arange(CLASSES))
    cqs = book.assess(centers).cqs_before
    assert {label: float(cqs[label]) for label in range(CLASSES)} == dict(state.cqs)
    assert state.record_count == recorded


def test_an_account_is_measured_against_a_budget() -> None:
    """Without a budget of its own, against the default; a budget that none can reach is refused."""
    store = MemoryLedgerStore()
    book_of(GEOMETRY, store, budget=60).assess(queries_of(*stream(GEOMETRY, 1, 500)))
    reader = reader_of(store, GEOMETRY)
    default, own = reader.get("a"), reader.get("a", CrossingPolicy(10))
    assert (default.policy.budget, own.policy.budget) == (100, 10)
    table = thresholds_of(10, GEOMETRY).of_policy().thresholds
    crossed = [label for label, cqs in own.cqs.items() if cqs > table[label]]
    assert own.crossed == crossed != default.crossed == []
    assert own.budget_spent == pytest.approx(10 * default.budget_spent)
    with pytest.raises(InvalidQuery):
        reader.get("a", CrossingPolicy(10**6))


def test_an_account_is_over_as_its_policy_says() -> None:
    """By its crossed classes, or by one class at its cap; a class alone is not enough else."""
    store = MemoryLedgerStore()
    embeddings, labels = stream(GEOMETRY, 1, 900)
    is_kept = labels == 1
    book_of(GEOMETRY, store, budget=60).assess(queries_of(embeddings[is_kept], labels[is_kept]))
    reader = reader_of(store, GEOMETRY)
    for policy, is_over in (
        (CrossingPolicy(10, 1), True),
        (CrossingPolicy(10, 2), False),
        (CrossingPolicy(10, 2, 3), True),
        (CrossingPolicy(10, 2, CAP_OFF), False),
    ):
        state = reader.get("a", policy)
        assert state.crossed == [1]
        assert state.is_over is is_over


def test_an_account_of_tail_queries_alone_has_a_meter_and_no_record() -> None:
    """It is an account all the same; an account without either is not found."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=meter_of(GEOMETRY))
    book.assess(queries_of(ring(GEOMETRY, 0, 20), np.zeros(20, int)))
    reader = reader_of(store, GEOMETRY)
    state = reader.get("a")
    assert (state.record_count, state.budget_spent, state.crossed) == (0, 0.0, [])
    assert state.off_distribution > 0.5
    with pytest.raises(AccountNotFound):
        reader.get("b")


def test_pages_follow_one_another(populated: MemoryLedgerStore) -> None:
    """Every account comes once, in order of the ids, each against its own budget."""
    reader = reader_of(populated)
    states, has_more = reader.page("", 5, {HONEST[0]: CrossingPolicy(200)})
    names, budgets = (
        [state.account_id for state in states],
        [state.policy.budget for state in states],
    )
    assert budgets == [200 if name == HONEST[0] else 100 for name in names]
    while has_more:
        states, has_more = reader.page(names[-1], 5)
        names += [state.account_id for state in states]
    assert names == sorted(set(names))
    assert set(HONEST) < set(names)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_what_is_kept_apart_is_no_account(size: int) -> None:
    """Pages go past observed ledgers, wherever they begin and end, and leave no account out."""
    store = MemoryLedgerStore()
    owners = ["a", "m", "observed", "observed!", "z", "group g"]
    for owner in (*owners, *map(observed_owner, owners)):
        key = LedgerKey(owner, GEOMETRY.digest, 0)
        store.append_many([Append(key, 0, GEOMETRY.cluster_centers[:1].astype(np.float32))])
    reader, seen, has_more = reader_of(store, GEOMETRY), [""], True
    while has_more:
        page, has_more = reader.page(seen[-1], size)
        assert len(page) == size or not has_more
        seen += [state.account_id for state in page]
    assert seen[1:] == sorted(owners)
