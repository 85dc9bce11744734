"""Surveys of all accounts: totals, links, and what ends a survey."""

from __future__ import annotations

from itertools import chain, count, repeat

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.accounts import ACCOUNTS_AT_A_TIME

from queen.owners import group_owner
from tests.unit.sensitivity.regions import batch_of, book_of, stream
from tests.unit.sensitivity.survey.surveys import (
    GEOMETRY,
    HONEST,
    THIEVES,
    linked,
    send,
    survey_of,
    surveyor_of,
)


def test_two_accounts_that_share_images_are_linked(populated: MemoryLedgerStore) -> None:
    """No other pair is linked, an account and its group in particular."""
    survey = survey_of(surveyor_of(populated))
    assert linked(survey) == {frozenset(THIEVES)}
    (link,) = survey.comparison.links
    assert link.shared >= 30 > link.expected
    assert link.score > 6
    assert link.records <= link.other_records
    assert survey.comparison.links_found == 1


def test_totals_are_of_accounts_and_not_of_groups(populated: MemoryLedgerStore) -> None:
    """Counts by hand; together the accounts have covered more than any of them."""
    names = [*HONEST, *THIEVES]
    ledgers = [populated.load(name, GEOMETRY.digest) for name in names]
    counts = [sum(map(len, ledger.values())) for ledger in ledgers]
    totals = survey_of(surveyor_of(populated)).totals
    assert (totals.accounts, totals.records) == (len(names), sum(counts))
    assert totals.over_budget == 0
    assert totals.classes_cut == 0
    largest = max(len(records) for ledger in ledgers for records in ledger.values())
    assert totals.budget_spent > 3 * largest / 100
    assert 0.05 < totals.region_covered < 1


def test_an_empty_store_is_surveyed() -> None:
    """Every total is 0, and nothing is divided by zero."""
    survey = survey_of(surveyor_of(MemoryLedgerStore()))
    totals = survey.totals
    assert (totals.accounts, totals.budget_spent, totals.region_covered) == (0, 0.0, 0.0)
    assert survey.comparison.links == ()
    assert survey.time_unix_nanos == 42


def test_accounts_over_the_default_budget_are_counted() -> None:
    """Their own budgets do not matter: the ledgers do not say them."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=300)
    embeddings, labels = stream(GEOMETRY, 1, 2000)
    book.assess(batch_of([AccountPolicy("heavy")], embeddings, labels))
    send(store, "light", 2)
    assert survey_of(surveyor_of(store)).totals.over_budget == 1


def test_more_accounts_than_a_page_are_all_read() -> None:
    """The last page is read, too, and a page of groups alone does not end the survey."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    names = [
        group_owner(f"{number:03}") if number < ACCOUNTS_AT_A_TIME else f"z{number:03}"
        for number in range(2 * ACCOUNTS_AT_A_TIME + 5)
    ]
    labels = np.zeros(len(names), np.int64)
    embeddings = np.tile(GEOMETRY.cluster_centers[:1], (len(names), 1))
    policies = [AccountPolicy(name) for name in names]
    book.assess(batch_of(policies, embeddings, labels, np.arange(len(names))))
    assert survey_of(surveyor_of(store)).totals.accounts == ACCOUNTS_AT_A_TIME + 5


def test_a_deleted_account_is_in_no_later_survey() -> None:
    """Neither its links nor its share of the joint ledger are left."""
    store, without = MemoryLedgerStore(), MemoryLedgerStore()
    for filled in (store, without):
        for number, name in enumerate(HONEST):
            send(filled, name, 10 + number)
        send(filled, THIEVES[0], 500, shared=15)
    send(store, THIEVES[1], 501, shared=15)
    before = survey_of(surveyor_of(store))
    assert linked(before) == {frozenset(THIEVES)}
    store.erase(THIEVES[1], [GEOMETRY.digest], 1)
    after, never = survey_of(surveyor_of(store)), survey_of(surveyor_of(without))
    assert (after.totals, after.comparison) == (never.totals, never.comparison)
    assert after.totals != before.totals


def test_a_survey_ends_when_it_is_told_to(populated: MemoryLedgerStore) -> None:
    """It ends at any moment, and then there is no half of a survey."""
    asked = 0

    def goes_on() -> bool:
        nonlocal asked
        asked += 1
        return True

    surveyor = surveyor_of(populated)
    surveyor.survey(goes_on)
    assert asked > 5
    for moment in range(asked):
        answers = chain([True] * moment, repeat(False))
        assert surveyor.survey(answers.__next__) is None


def test_a_search_whose_time_is_up_counts_the_records_it_left_out(
    populated: MemoryLedgerStore,
) -> None:
    """The totals are there all the same."""
    hours = count()
    survey = survey_of(surveyor_of(populated, clock=lambda: 3600.0 * next(hours)))
    assert survey.comparison.links == ()
    assert survey.comparison.records_left_out > survey.totals.records / 2
    assert survey.totals == survey_of(surveyor_of(populated)).totals


def test_the_joint_share_is_of_the_default_budget(populated: MemoryLedgerStore) -> None:
    """Half the budget is twice the share."""
    spent = [survey_of(surveyor_of(populated, budget)).totals.budget_spent for budget in (100, 50)]
    assert spent[1] == pytest.approx(2 * spent[0])
