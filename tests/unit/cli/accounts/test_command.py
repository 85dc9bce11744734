import io

import numpy as np
import pytest
from rich.console import Console

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.admin_client import ClassRecords, Ledger, Spent, _spent
from queen.cli.accounts.command import ledger_table, level, spent_table
from queen.cli.accounts.policies import policies_of
from queen.serving.accounts import AccountEntry, AccountsFile, GroupEntry


def printed(table) -> str:
    """What a table looks like on a wide terminal."""
    written = io.StringIO()
    Console(file=written, width=140).print(table)
    return written.getvalue()


def test_the_list_says_how_far_off_the_distribution_an_account_is():
    """The meter is a share of its limit; at the limit it is marked, and groups stand with it."""
    found = [
        Spent("acme", 12, (), 0.5, 0.371),
        Spent("group acme", 40, (1,), 1.2, 1.0),
    ]
    lines = printed(spent_table(found)).splitlines()
    assert lines[0].startswith("2 ledgers")
    (account,) = [line for line in lines if " acme" in line and "group" not in line]
    (group,) = [line for line in lines if "group acme" in line]
    assert "37%" in account
    assert "off" not in account
    assert "off 100%" in group


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0%"), (0.9999, "99%"), (1.0, "off 100%"), (1.0000001, "off 100%")],
)
def test_the_meter_is_at_its_limit_or_below(share, text):
    """A level just under the limit is not shown as the limit, nor one above it as more."""
    assert level(share).plain == text


def test_one_account_shows_its_meter_without_a_record():
    """An account of tail queries alone has no class to show, and its meter all the same."""
    text = printed(ledger_table(Ledger(Spent("stray", 0, (), 0.0, 1.0), (), "ab" * 32), ()))
    assert "stray: 0 records" in text
    assert "off-distribution meter off 100%" in text


def test_one_account_shows_its_classes():
    """Records, cqs and threshold stand beside the class's name."""
    kept = ClassRecords(1, 0.25, 0.5, np.zeros(6, np.float32))
    ledger = Ledger(Spent("acme", 3, (), 0.5, 0.1), (kept,), "ab" * 32)
    text = printed(ledger_table(ledger, ("cat", "dog")))
    assert "1 dog" in text
    assert "50%" in text
    assert "meter 10%" in text


def test_the_client_reads_the_meter_and_the_budget():
    """What the wire says of them reaches the table."""
    summary = pb.AccountSummary(account_id="a", records=2, off_distribution=0.5, budget=70)
    assert _spent(summary) == Spent("a", 2, (), 0.0, 0.5, 70)


def test_the_list_says_which_budget_an_account_is_measured_against():
    """Its own, its group's, or the service's default; and why a crossed class reverses nothing."""
    entries = [
        AccountEntry(id="web", key_sha256="ab" * 32, group="acme", budget=200),
        AccountEntry(id="checks", key_sha256="cd" * 32, exempt=True),
    ]
    groups = [GroupEntry(id="acme", budget=300)]
    policies = policies_of(AccountsFile(accounts=entries, groups=groups))
    found = [
        Spent("checks", 9, (1,), 1.5, 0.0, 100),
        Spent("group acme", 12, (), 0.5, 0.0, 300),
        Spent("left", 12, (), 0.5, 0.0, 100),
        Spent("web", 12, (), 0.5, 0.0, 200),
    ]
    lines = printed(spent_table(found, policies)).splitlines()
    checks, group, left, web = (line for line in lines if "%" in line)
    assert "100 (default)" in checks
    assert "exempt" in checks
    assert " 300 " in group
    assert "no entry" in left
    assert " 200 " in web
    assert "group acme" in web
    ledger = Ledger(found[-1], (), "ab" * 32)
    shown = printed(ledger_table(ledger, (), policies))
    assert "T of a budget of 200\n" in "\n".join(map(str.strip, shown.splitlines()))
    assert "group acme" in shown
    assert "T of a budget of 200 (default)" in printed(ledger_table(ledger, ()))
