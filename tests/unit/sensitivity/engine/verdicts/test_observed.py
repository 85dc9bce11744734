"""Queries under `observe` are charged a second time, and nothing else changes by that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import LedgerStore, MemoryLedgerStore

from queen.method.facts import FACTS, Observed
from queen.method.ledger import Assessment
from queen.owners import observed_owner
from tests.unit.sensitivity.regions import (
    CLASSES,
    batch_of,
    book_of,
    meter_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
POLICIES = [
    AccountPolicy("a", is_observed=True),
    AccountPolicy("b", group="us", is_observed=True),
    AccountPolicy("c", group="us"),
]
OWNERS = ["a", "b", "c", "group us"]
APART = ["observed a", "observed b", "observed group us"]


def batches(policies: list[AccountPolicy]) -> list[Queries]:
    """Three accounts ask at random, some of it from far away."""
    made = []
    for seed in range(8):
        points, labels = stream(GEOMETRY, seed, 60)
        points[:3] = ring(GEOMETRY, int(labels[0]), 3)
        labels[:3] = labels[0]
        owners = np.random.default_rng(seed).integers(0, 3, 60)
        made.append(replace(batch_of(policies, points, labels, owners), with_facts=True))
    return made


def lists_of(store: LedgerStore, owner: str) -> dict[int, list[list[float]]]:
    """All that is stored of an owner."""
    stored = store.load(owner, GEOMETRY.digest)
    return {label: records.tolist() for label, records in stored.items()}


def facts_of(assessment: Assessment) -> np.ndarray:
    """The facts of an assessment."""
    assert assessment.facts is not None
    return assessment.facts


def test_no_verdict_and_no_ledger_of_an_account_changes() -> None:
    """Those of the account, of its group and of others are what they are without observation."""
    plain, observed = MemoryLedgerStore(), MemoryLedgerStore()
    crossings: tuple[list[Crossing], list[Crossing]] = ([], [])
    books = [
        book_of(
            GEOMETRY,
            store,
            budget=4,
            meter=meter_of(GEOMETRY),
            listeners=Listeners(announce=told.extend),
        )
        for store, told in zip((plain, observed), crossings, strict=True)
    ]
    bare = [replace(policy, is_observed=False) for policy in POLICIES]
    counted = [name for name in FACTS.names or () if not name.startswith("observed")]
    for ours, theirs in zip(batches(bare), batches(POLICIES), strict=True):
        steps = books[0].assess(ours), books[1].assess(theirs)
        for name in ("verdicts", "causes", "cqs_before", "cqs_after"):
            assert np.array_equal(*(getattr(step, name) for step in steps))
        first, second = map(facts_of, steps)
        assert np.array_equal(first[counted], second[counted])
    for owner in OWNERS:
        assert lists_of(plain, owner) == lists_of(observed, owner) != {}
    assert crossings[0] == crossings[1] != []


@pytest.mark.parametrize("cached_accounts", [2, 100])
def test_what_is_observed_goes_on_past_every_budget(cached_accounts: int) -> None:
    """As if the account, or its group, had a budget that it never uses up; no meter is kept."""
    store, unlimited = MemoryLedgerStore(), MemoryLedgerStore()
    small = book_of(
        *(GEOMETRY, store), budget=4, meter=meter_of(GEOMETRY), cached_accounts=cached_accounts
    )
    large = book_of(GEOMETRY, unlimited, budget=100)
    for queries in batches(POLICIES):
        facts = facts_of(small.assess(queries))
        bare = [replace(policy, is_observed=False) for policy in POLICIES]
        apart = facts_of(large.assess(replace(queries, accounts=bare)))
        is_observed = queries.account_index < 2
        assert np.array_equal(facts["observed"] & Observed.CHARGED > 0, is_observed)
        for name in ("cqs_before", "cqs_after"):
            assert facts[f"observed_{name}"][is_observed] == pytest.approx(apart[name][is_observed])
            assert not facts[f"observed_{name}"][~is_observed].any()
    for owner in ("a", "b"):
        kept = lists_of(store, observed_owner(owner))
        assert kept == {
            label: records
            for label, records in lists_of(unlimited, owner).items()
            if label < CLASSES
        }
        assert sum(map(len, kept.values())) > sum(map(len, lists_of(store, owner).values()))
    # The group's has what its observed member asked, and not what the other did.
    assert lists_of(store, "observed group us") == lists_of(store, "observed b")
    assert lists_of(store, "observed c") == {}


def test_an_account_is_not_charged_for_what_was_observed() -> None:
    """Once its profile changes, its ledger goes on where its own budget left it."""
    store = MemoryLedgerStore()
    book: LedgerBook = book_of(GEOMETRY, store, budget=4)
    for queries in batches(POLICIES):
        book.assess(queries)
    before = {owner: lists_of(store, owner) for owner in APART}
    served = [replace(policy, is_observed=False) for policy in POLICIES]
    points, labels = stream(GEOMETRY, 99, 200)
    queries = replace(batch_of(served, points, labels, np.arange(200) % 3), with_facts=True)
    facts = facts_of(book.assess(queries))
    own = {
        label: float(facts["cqs_before"][(labels == label) & (queries.account_index == 0)][0])
        for label in range(CLASSES)
    }
    assert max(own.values()) < 2 * 4 * 0.4 * 0.1**2
    assert not facts["observed_cqs_before"].any()
    assert {owner: lists_of(store, owner) for owner in APART} == before


def test_a_tail_query_counts_once_for_each_cell_of_an_owner() -> None:
    """For the account and its group apart; where it lies says nothing of another account."""
    meter = meter_of(GEOMETRY)
    book = book_of(GEOMETRY, MemoryLedgerStore(), meter=meter)
    far = ring(GEOMETRY, 0, 2)
    points = far[[0, 0, 1, 0]]
    policies = [
        AccountPolicy("a", group="us", is_observed=True),
        AccountPolicy("b", group="us", is_observed=True),
    ]
    queries = batch_of(policies, points, np.zeros(4, int), [0, 0, 0, 1])
    told = facts_of(book.assess(replace(queries, with_facts=True)))["observed"]
    assert (told & Observed.FAR > 0).tolist() == [True, False, True, True]
    assert (told & Observed.GROUP_FAR > 0).tolist() == [True, False, True, False]
    again = facts_of(book.assess(replace(queries, with_facts=True)))["observed"]
    assert again.tolist() == [Observed.CHARGED] * 4
