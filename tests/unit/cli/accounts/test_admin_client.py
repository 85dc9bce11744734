from __future__ import annotations

import pytest

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.admin_client import AdminClient, Credential, event_of, summary_of
from queen.cli.accounts.admin_values import (
    AccountSummary,
    Crossing,
    Deleted,
    Imported,
    Link,
    Missed,
    SurveyedLinks,
)
from queen.errors import InvalidQuery
from queen.method.crossing import CrossingPolicy
from queen.operators import AuditEntry
from tests.unit.cli.accounts.admin_port import AdminPort

REASON = "ticket 7"


def test_a_summary_has_the_meter_and_the_budget() -> None:
    """Every field of the wire has its place."""
    message = pb.AccountSummary(
        account_id="a",
        records=2,
        off_distribution=0.5,
        budget=70,
        over_budget=True,
        needed_classes=5,
        class_cap=3,
    )
    assert summary_of(message) == AccountSummary("a", 2, (), 0.0, 0.5, 70, True, 5, 3)


def test_a_crossing_says_what_was_crossed() -> None:
    """Class 0 is a class, too; missed events are a number."""
    message = pb.WatchCrossingsResponse(
        time_unix_nanos=42, account_id="a", crossing=pb.CROSSING_THRESHOLD, level=1.5, limit=1.0
    )
    assert event_of(message) == Crossing(42, "a", "threshold", 0, 1.5, 1.0)
    message.crossing = pb.CROSSING_OFF_DISTRIBUTION
    assert event_of(message) == Crossing(42, "a", "off distribution", 0, 1.5, 1.0)
    assert event_of(pb.WatchCrossingsResponse(missed=7)) == Missed(7)


def test_all_pages_are_read(port: AdminPort) -> None:
    """Accounts and audit entries come one by one, and policies go with every page."""
    with AdminClient(port.address) as client:
        shown = client.accounts({"acme": CrossingPolicy(9, 2, 3)})
        assert [account.account_id for account in shown] == ["acme", "batch"]
        own = [pb.AccountBudget(account_id="acme", budget=9, breadth=2, class_cap=3)]
        assert [(request.page_token, request.budgets) for request in port.requests] == [
            ("", own),
            ("1", own),
        ]
        entries = list(client.audit())
    assert entries == [AuditEntry("noon", "ana", f"ticket {n}", "reset", "ab", n) for n in range(2)]


def test_an_account_has_its_classes(port: AdminPort) -> None:
    """The embeddings of a class are numbers in a row, since the wire does not say their width."""
    with AdminClient(port.address) as client:
        account = client.account("acme", CrossingPolicy(70))
    assert port.requests == [pb.GetAccountRequest(account_id="acme", budget=70)]
    (ledger,) = account.classes
    assert (ledger.label, ledger.cqs, ledger.threshold) == (1, 0.25, 0.5)
    assert ledger.embeddings.shape == (24,)


def test_changes_carry_their_reason(port: AdminPort) -> None:
    """It is in each request; the operator follows from the key."""
    with AdminClient(port.address, Credential("key-of-ana")) as client:
        assert client.reset("a", REASON) == 3
        assert client.delete("a", REASON) == Deleted(4, 2)
        assert client.audit_exemption("a", True, REASON) == 5
        imported = client.import_lines(['{"accountId": "a"}', '{"accountId": "b"}'], REASON)
    assert imported == Imported(2, 2, 0)
    assert len(port.requests) == 5
    assert {request.reason for request in port.requests} == {"ticket 7"}
    assert port.headers == {"Bearer key-of-ana"}


def test_an_export_is_lines_that_can_be_imported(port: AdminPort) -> None:
    """One JSON text an account, without a line break in it."""
    with AdminClient(port.address) as client:
        lines = list(client.export_lines())
        assert client.import_lines(lines, REASON).accounts == 2
        assert list(client.export_lines(["batch"])) == lines[1:]
    assert not any("\n" in line for line in lines)


def test_a_text_that_is_no_export_is_refused_before_a_call(port: AdminPort) -> None:
    """The refusal names the line, and nothing is sent."""
    with AdminClient(port.address) as client, pytest.raises(InvalidQuery, match="line 2: expected"):
        client.import_lines(['{"accountId": "a"}', "not json"], REASON)
    assert port.requests == []


def test_a_watch_begins_before_its_first_event(port: AdminPort) -> None:
    """The callback comes first, so that a caller knows that it misses nothing."""
    heard: list[object] = []
    with AdminClient(port.address) as client:
        heard.extend(client.crossings(begun=lambda: heard.append("begun")))
    assert heard == ["begun", Crossing(0, "acme", "threshold", 0, 1.5, 1.0), Missed(7)]


def test_links_have_their_survey(port: AdminPort) -> None:
    """Before the first survey there is none; every field of both has its place."""
    with AdminClient(port.address) as client:
        assert client.links() == SurveyedLinks(None, (), 300.0)
        port.links.survey.accounts = 7
        port.links.survey.region_covered = 0.25
        port.links.links.add(account_id="a", other_account_id="b", score=9.0, records=40)
        surveyed = client.links()
    assert surveyed.survey is not None
    assert (surveyed.survey.accounts, surveyed.survey.region_covered) == (7, 0.25)
    assert surveyed.links == (Link("a", "b", 9.0, 0, 0.0, 40, 0),)
