"""Values as responses of the admin API."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.admin.administration import Erased
from queen_sensitivity.admin.crossing_feed import Missed, Seen
from queen_sensitivity.admin.decode import read_account_token, read_audit_token
from queen_sensitivity.admin.encode import (
    account_response,
    accounts_response,
    audit_response,
    crossing_response,
    deleted_response,
    links_response,
)
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.survey.accounts import AccountState
from queen_sensitivity.survey.comparison import Comparison, SuggestedLink
from queen_sensitivity.survey.surveyor import Survey, Totals

from queen.api.v1 import admin_pb2 as pb
from queen.method.crossing import CAP_OFF, CrossingPolicy, PolicyThresholds
from queen.operators import AuditEntry


def state_of(account_id: str) -> AccountState:
    """An account with two records of class 1, whose budget is spent twice."""
    records = np.array([[1, 2], [3, 4]], np.float32)
    limits = PolicyThresholds(0, np.array([0.25, 0.5]), None, 1)
    policy = CrossingPolicy(9, 3, CAP_OFF)
    return AccountState(account_id, {1: records}, {1: 1.0}, limits, 0.75, policy)


def test_a_page_of_accounts_has_a_token_if_more_follow() -> None:
    """The token names the last account of the page."""
    states = [state_of("a"), state_of("b")]
    page = accounts_response(states, True)
    assert [account.account_id for account in page.accounts] == ["a", "b"]
    assert read_account_token(page.next_page_token) == "b"
    assert accounts_response(states, False).next_page_token == ""
    assert accounts_response([], False) == pb.ListAccountsResponse()


def test_an_account_is_told_with_its_classes() -> None:
    """Cqs, threshold and embeddings by class, and the totals over them."""
    answer = account_response(state_of("a"), "ab")
    assert answer.bundle_digest == "ab"
    summary = answer.summary
    assert (summary.records, list(summary.crossed_classes), summary.budget_spent) == (2, [1], 2.0)
    assert (summary.off_distribution, summary.budget) == (0.75, 9)
    assert (summary.over_budget, summary.needed_classes, summary.class_cap) == (True, 1, CAP_OFF)
    (ledger,) = answer.classes
    assert (ledger.label, ledger.cqs, ledger.threshold) == (1, 1.0, 0.5)
    assert np.frombuffer(ledger.embeddings, "<f4").tolist() == [1, 2, 3, 4]


def test_a_deletion_says_how_much_was_there() -> None:
    """Records, and the geometries that they were under."""
    answer = deleted_response(Erased(7, 2))
    assert (answer.records_before, answer.geometries) == (7, 2)


@pytest.mark.parametrize(
    ("kind", "label", "told"),
    [
        (CrossingKind.THRESHOLD, 0, pb.CROSSING_THRESHOLD),
        (CrossingKind.THRESHOLD, 3, pb.CROSSING_THRESHOLD),
        (CrossingKind.OFF_DISTRIBUTION, None, pb.CROSSING_OFF_DISTRIBUTION),
        (CrossingKind.BREADTH, None, pb.CROSSING_BREADTH),
        (CrossingKind.CLASS_CAP, 3, pb.CROSSING_CLASS_CAP),
    ],
)
def test_a_crossing_says_what_was_crossed(kind: CrossingKind, label: int | None, told: int) -> None:
    """A class, the meter, or the policy by which an account is over its budget."""
    event = crossing_response(Seen(Crossing(kind, "a", label, 1.5, 1.0), 42))
    assert (event.crossing, event.label) == (told, label or 0)
    assert (event.account_id, event.level, event.limit) == ("a", 1.5, 1.0)
    assert (event.time_unix_nanos, event.missed) == (42, 0)


def test_missed_events_are_a_number() -> None:
    """An event of its own, without an account."""
    assert crossing_response(Missed(3)) == pb.WatchCrossingsResponse(missed=3)


def test_a_page_of_the_audit_has_a_token_if_more_follow() -> None:
    """The token says how many entries lie before the next page."""
    entry = AuditEntry("noon", "ana", "why", "reset", "ab", 3)
    page = audit_response([entry], 7)
    assert page.entries[0] == pb.AuditEntry(
        time="noon",
        actor="ana",
        reason="why",
        action="reset",
        account_hash="ab",
        records_before=3,
    )
    assert read_audit_token(page.next_page_token) == 7
    assert audit_response([entry], 0).next_page_token == ""


def test_a_survey_is_told_with_its_links() -> None:
    """Before the first survey only its period is known."""
    assert links_response(None, 300.0) == pb.ListLinksResponse(survey_seconds=300.0)
    totals = Totals(7, 90, 2, 1.5, 0.25, 1)
    link = SuggestedLink("a", "b", 8.5, 12, 1.5, 40, 60)
    answer = links_response(Survey(totals, Comparison((link,), 3, 4, 5, 6), 42, 0.5), 300.0)
    survey = answer.survey
    assert (survey.accounts, survey.records, survey.accounts_over_budget) == (7, 90, 2)
    assert (survey.budget_spent, survey.region_covered, survey.classes_cut) == (1.5, 0.25, 1)
    assert survey.links_found == 3
    left = (survey.accounts_not_compared, survey.records_not_compared, survey.pairs_not_compared)
    assert left == (4, 5, 6)
    assert (survey.time_unix_nanos, survey.seconds, answer.survey_seconds) == (42, 0.5, 300.0)
    (told,) = answer.links
    assert (told.account_id, told.other_account_id, told.score) == ("a", "b", 8.5)
    assert (told.shared_records, told.expected_records) == (12, 1.5)
    assert (told.records, told.other_records) == (40, 60)
