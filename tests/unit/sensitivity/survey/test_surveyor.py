"""Surveys of all accounts, their pace, and that no verdict follows from one."""

from __future__ import annotations

import threading
from itertools import chain, count, repeat

import numpy as np
import pytest
import structlog
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.comparison import AccountPool
from queen_sensitivity.survey.loop import Pace, SurveyLoop
from queen_sensitivity.survey.surveyor import PAGE, Survey, Surveyor

from queen.errors import DependencyUnavailable
from tests.unit.sensitivity.regions import CLASSES, batch_of, book_of, meter_of, stream
from tests.unit.sensitivity.survey.surveys import (
    GEOMETRY,
    HONEST,
    THIEVES,
    ask,
    loop_of,
    populate,
    shares,
    surveyor_of,
)


@pytest.fixture(scope="module")
def populated() -> MemoryLedgerStore:
    """A store that no test changes."""
    store = MemoryLedgerStore()
    populate(store)
    return store


def surveyed(surveyor: Surveyor) -> Survey:
    """A survey that nobody stops."""
    survey = surveyor.survey()
    assert survey is not None
    return survey


def linked(survey: Survey) -> set[frozenset[str]]:
    """The pairs that are suggested."""
    return {frozenset((link.account_id, link.other_account_id)) for link in survey.comparison.links}


def test_two_accounts_that_share_images_are_linked(populated: MemoryLedgerStore) -> None:
    """And no other pair is, an account and its group in particular."""
    survey = surveyed(surveyor_of(populated))
    assert linked(survey) == {frozenset(THIEVES)}
    (link,) = survey.comparison.links
    assert link.shared >= 30 > link.expected
    assert link.score > 6
    assert link.records <= link.other_records
    assert survey.comparison.found == 1


def test_totals_are_of_accounts_and_not_of_groups(populated: MemoryLedgerStore) -> None:
    """Counts by hand; together they have covered more than any of them."""
    names = [*HONEST, *THIEVES]
    ledgers = [populated.load(name, GEOMETRY.digest) for name in names]
    counts = [sum(map(len, ledger.values())) for ledger in ledgers]
    totals = surveyed(surveyor_of(populated)).totals
    assert (totals.accounts, totals.records) == (len(names), sum(counts))
    assert totals.over_budget == 0
    assert totals.classes_cut == 0
    largest = max(len(each) for ledger in ledgers for each in ledger.values())
    assert totals.budget_spent > 3 * largest / 100
    assert 0.05 < totals.region_covered < 1


def test_an_empty_store_is_surveyed() -> None:
    """Nothing is found, and nothing is divided by zero."""
    survey = surveyed(surveyor_of(MemoryLedgerStore()))
    totals = survey.totals
    assert (totals.accounts, totals.budget_spent, totals.region_covered) == (0, 0.0, 0.0)
    assert survey.comparison.links == ()
    assert survey.time_unix_nanos == 42


def test_accounts_over_the_default_budget_are_counted() -> None:
    """Whatever their own budget is: the ledgers do not say it."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=300)
    embeddings, labels = stream(GEOMETRY, 1, 2000)
    book.assess(batch_of([AccountPolicy("heavy")], embeddings, labels))
    ask(store, "light", 2)
    assert surveyed(surveyor_of(store)).totals.over_budget == 1


def test_more_accounts_than_a_page_are_all_read() -> None:
    """The last page, too, and a page of groups alone does not end the survey."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    policies = [
        AccountPolicy(f"{'group ' if number < PAGE else 'z'}{number:03}")
        for number in range(2 * PAGE + 5)
    ]
    labels = np.zeros(len(policies), np.int64)
    embeddings = np.tile(GEOMETRY.cluster_centers[:1], (len(policies), 1))
    book.assess(batch_of(policies, embeddings, labels, np.arange(len(policies))))
    assert surveyed(surveyor_of(store)).totals.accounts == PAGE + 5


def test_a_deleted_account_is_in_no_later_survey(populated: MemoryLedgerStore) -> None:
    """Neither in its links nor in what everybody covers."""
    store, without = MemoryLedgerStore(), MemoryLedgerStore()
    for each in (store, without):
        for number, name in enumerate(HONEST):
            ask(each, name, 10 + number)
        ask(each, THIEVES[0], 500, shared=15)
    ask(store, THIEVES[1], 501, shared=15)
    before = surveyed(surveyor_of(store))
    assert linked(before) == {frozenset(THIEVES)}
    store.erase(THIEVES[1], [GEOMETRY.digest], 1)
    after, never = surveyed(surveyor_of(store)), surveyed(surveyor_of(without))
    assert (after.totals, after.comparison) == (never.totals, never.comparison)
    assert after.totals != before.totals


def test_the_accounts_with_the_fewest_records_are_not_compared(
    populated: MemoryLedgerStore,
) -> None:
    """Memory is bounded; how many were left out is said."""
    reader = surveyor_of(populated)._reader
    states, _ = reader.page("", 100)
    room = sum(state.record_count + CLASSES for state in states) // 2
    pool = AccountPool(GEOMETRY, room)
    for state in states:
        pool.offer(state)
    kept = {name for _, name, _ in pool._kept}
    fewest = min(state.record_count for state in states if state.account_id in kept)
    assert all(state.record_count <= fewest for state in states if state.account_id not in kept)
    comparison = pool.compare(lambda: True, lambda: 0.0)
    assert comparison.accounts_left_out == len(states) - len(kept) > 0
    small = surveyed(surveyor_of(populated, pool_size=0))
    assert small.comparison.accounts_left_out == len(HONEST) + len(THIEVES)
    assert small.comparison.links == ()
    assert small.totals == surveyed(surveyor_of(populated)).totals


def test_a_survey_ends_when_it_is_told_to(populated: MemoryLedgerStore) -> None:
    """At whatever moment; and then there is no half of one."""
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


def test_a_search_whose_time_is_up_says_what_it_did_not_compare(
    populated: MemoryLedgerStore,
) -> None:
    """The totals are there all the same."""
    surveyor = surveyor_of(populated)
    hours = count()
    surveyor._clock = lambda: 3600.0 * next(hours)
    survey = surveyed(surveyor)
    assert survey.comparison.links == ()
    assert survey.comparison.records_left_out > survey.totals.records / 2
    assert survey.totals == surveyed(surveyor_of(populated)).totals


def test_verdicts_are_bit_identical_with_and_without_surveys() -> None:
    """A thread surveys as often as it can while the engine takes batches of linked accounts."""
    policies = [AccountPolicy(name, group="g" if name[0] == "x" else "") for name in "xyzuv"]
    batches = [stream(GEOMETRY, seed // 2, 150) for seed in range(24)]
    owners = [np.random.default_rng(seed).integers(0, 5, 150) for seed in range(24)]

    def assessed(*, is_surveyed: bool) -> list[bytes]:
        store = MemoryLedgerStore()
        loop = loop_of(store)
        book = book_of(GEOMETRY, store, budget=20, meter=meter_of(GEOMETRY))
        found = []
        with loop.running() if is_surveyed else threading.Lock():
            for (embeddings, labels), owner in zip(batches, owners, strict=True):
                if is_surveyed:
                    loop.survey_once()
                step = book.assess(batch_of(policies, embeddings, labels, owner))
                found += [
                    array.tobytes()
                    for array in (
                        *(step.verdicts, step.distances, step.sqs),
                        *(step.cqs_before, step.cqs_after, step.causes),
                    )
                ]
        assert (loop.latest is not None) == is_surveyed
        for name in store.list_accounts(GEOMETRY.digest, "", 99):
            found += [each.tobytes() for each in store.load(name, GEOMETRY.digest).values()]
        return found

    assert assessed(is_surveyed=True) == assessed(is_surveyed=False)


def test_a_forgotten_account_is_suggested_no_more(populated: MemoryLedgerStore) -> None:
    """At once, and by a survey that had read it before; the next one knows by itself."""
    loop = loop_of(populated)
    loop.survey_once()
    assert loop.latest is not None
    assert linked(loop.latest) == {frozenset(THIEVES)}
    loop.forget(THIEVES[0])
    assert loop.latest.comparison.links == ()
    assert loop.latest.comparison.found == 0

    real = loop._surveyor.survey

    def erased_meanwhile(proceed: object) -> Survey | None:
        found = real()
        loop.forget(THIEVES[1])
        return found

    loop._surveyor.survey = erased_meanwhile  # type: ignore[method-assign, assignment]
    loop.survey_once()
    assert loop.latest.comparison.links == ()
    loop._surveyor.survey = real  # type: ignore[method-assign]
    loop.survey_once()
    assert linked(loop.latest) == {frozenset(THIEVES)}


def test_a_survey_that_fails_is_counted_and_the_next_one_succeeds() -> None:
    """The log says why, with no account in it; the last survey stays."""
    store = MemoryLedgerStore()
    ask(store, "an-account", 1)
    surveyor, outcomes, twice = surveyor_of(store), [], threading.Event()
    real = surveyor.survey
    results = iter([DependencyUnavailable("expected an answer, got none"), ValueError("secret")])

    def survey(proceed: object) -> Survey | None:
        for error in results:
            raise error
        return real()

    surveyor.survey = survey  # type: ignore[method-assign, assignment]

    def count(outcome: str) -> None:
        outcomes.append(outcome)
        if outcome == "done":
            twice.set()

    with structlog.testing.capture_logs() as lines:
        loop = SurveyLoop(surveyor, 0.001, count=count)
        with loop.running():
            assert twice.wait(30)
    assert outcomes[:3] == ["failed", "failed", "done"]
    assert [line.get("problem") for line in lines[:2]] == [
        "expected an answer, got none",
        "ValueError",
    ]
    assert "an-account" not in str(lines)


def test_without_a_period_no_survey_is_made() -> None:
    """No thread is started."""
    before = threading.active_count()
    loop = loop_of(MemoryLedgerStore(), 0)
    with loop.running():
        assert threading.active_count() == before
    assert loop.latest is None


def test_the_pace_rests_as_long_as_the_work_took() -> None:
    """And no longer than until it is to stop."""
    rests: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout or 0.0)
            return False

    # A quick piece; one that makes 2 s with it; and one of 3 s.
    times = iter([0.0, 0.001, 2.0, 4.0, 7.0, 10.0])
    stop = Stop()
    pace = Pace(stop, lambda: next(times))
    assert [pace() for _ in range(3)] == [True] * 3
    assert rests == [2.0, 3.0]
    stop.set()
    times = iter([10.0])
    assert not pace()


def test_the_share_of_everybody_is_of_the_default_budget(populated: MemoryLedgerStore) -> None:
    """Half the budget, twice the share."""
    one = surveyor_of(populated)
    half = Surveyor(one._reader, GEOMETRY, shares(50).table(0))
    spent = [surveyed(each).totals.budget_spent for each in (one, half)]
    assert spent[1] == pytest.approx(2 * spent[0])
