import io

import numpy as np
import pytest
from rich.console import Console

from queen.cli.accounts.accounts_file import policies_of
from queen.cli.accounts.admin_values import Account, AccountSummary, ClassLedger, Link
from queen.cli.accounts.tables import (
    account_table,
    accounts_table,
    audit_table,
    bar,
    level,
    links_table,
)
from queen.method.crossing import CAP_OFF
from queen.operators import AuditEntry
from queen.serving.accounts import AccountEntry, AccountsFile, GroupEntry


def printed(table) -> str:
    """A table on a wide terminal."""
    written = io.StringIO()
    Console(file=written, width=140).print(table)
    return written.getvalue()


def test_the_list_says_how_far_off_the_distribution_an_account_is():
    """The meter is a share of its limit; at the limit it is marked, and groups stand with it."""
    summaries = [
        AccountSummary("acme", 12, (), 0.5, 0.371),
        AccountSummary("group acme", 40, (1,), 1.2, 1.0),
    ]
    lines = printed(accounts_table(summaries)).splitlines()
    assert lines[0].strip() == "1 account, 1 group"
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
    text = printed(
        account_table(Account(AccountSummary("stray", 0, (), 0.0, 1.0), (), "ab" * 32), ())
    )
    assert "stray: 0 records" in text
    assert "off-distribution meter off 100%" in text


def test_one_account_shows_its_classes():
    """Records, cqs and threshold stand beside the class's name."""
    kept = ClassLedger(1, 0.25, 0.5, np.zeros(6, np.float32))
    account = Account(AccountSummary("acme", 3, (), 0.5, 0.1), (kept,), "ab" * 32)
    text = printed(account_table(account, ("cat", "dog")))
    assert "1 dog" in text
    assert "50%" in text
    assert "meter 10%" in text


def test_the_list_says_which_budget_an_account_is_measured_against():
    """Its own, its group's, or the service's default; and why a crossed class reverses nothing."""
    entries = [
        AccountEntry(id="web", key_sha256="ab" * 32, group="acme", budget=200),
        AccountEntry(id="checks", key_sha256="cd" * 32, exempt=True),
    ]
    groups = [GroupEntry(id="acme", budget=300)]
    policies = policies_of(AccountsFile(accounts=entries, groups=groups))
    summaries = [
        AccountSummary("checks", 9, (1,), 1.5, 0.0, 100),
        AccountSummary("group acme", 12, (), 0.5, 0.0, 300),
        AccountSummary("left", 12, (), 0.5, 0.0, 100),
        AccountSummary("web", 12, (), 0.5, 0.0, 200),
    ]
    lines = printed(accounts_table(summaries, policies)).splitlines()
    checks, group, left, web = (line for line in lines if "%" in line)
    assert "100 (default)" in checks
    assert "exempt" in checks
    assert " 300 " in group
    assert "no entry" in left
    assert " 200 " in web
    assert "group acme" in web
    account = Account(summaries[-1], (), "ab" * 32)
    shown = printed(account_table(account, (), policies))
    assert "T of a budget of 200\n" in "\n".join(map(str.strip, shown.splitlines()))
    assert "group acme" in shown
    assert "T of a budget of 200 (default)" in printed(account_table(account, ()))


def test_the_list_says_whether_an_account_is_over_its_budget():
    """With its crossed classes and those that it takes; one account also with its class cap."""
    summaries = [
        AccountSummary("broad", 12, (1, 2), 1.5, 0.0, 100, False, 5, CAP_OFF),
        AccountSummary("deep", 40, (1,), 3.5, 0.0, 100, True, 5, 3),
    ]
    lines = printed(accounts_table(summaries)).splitlines()
    (broad,) = [line for line in lines if "broad" in line]
    (deep,) = [line for line in lines if "deep" in line]
    assert " 1, 2 (2/5)" in broad
    assert "over" not in broad
    assert "over: 1 (1/5)" in deep
    account = printed(account_table(Account(summaries[1], (), "ab" * 32), ()))
    words = " ".join(account.split())
    assert "over its budget: yes (1 of 5 classes, class cap 3)" in words


def test_links_stand_beside_what_chance_explains():
    """Records in common, of how many, the number by chance, and the score; no markup in an id."""
    link = Link("[red]a", "b", 8.25, 12, 1.5, 40, 60)
    text = printed(links_table([("linked-1", [link])]))
    assert "1 link " in text
    (line,) = [line for line in text.splitlines() if "linked-1" in line]
    for word in ("[red]a", "b", "12 of 40", "1.5", "8.2"):
        assert word in line


def test_a_change_is_a_line_of_the_audit():
    """With its actor and its reason."""
    text = printed(audit_table([AuditEntry("noon", "ana", "ticket 7", "reset", "ab", 3)]))
    (line,) = [line for line in text.splitlines() if "noon" in line]
    for word in ("ana", "ticket 7", "reset", "ab", "3"):
        assert word in line


@pytest.mark.parametrize(
    ("share", "blocks", "text"), [(0.0, 0, " 0%"), (0.5, 10, " 50%"), (3.0, 20, " 300%")]
)
def test_a_bar_is_full_at_the_budget(share, blocks, text):
    """The share behind it goes on."""
    plain = bar(share).plain
    assert plain.count("█") == blocks
    assert plain.endswith(text)


def test_no_table_obeys_a_name():
    """Neither its control characters nor its markup, wherever it stands."""
    name = "[red]a\x1b[2J\u202eb"
    shown = r"[red]a\x1b[2J\u202eb"
    summary = AccountSummary(name, 3, (), 0.5)
    entries = [AccountEntry(id="c", key_sha256="ab" * 32, group="g")]
    tables = [
        accounts_table([summary], policies_of(AccountsFile(accounts=entries))),
        account_table(
            Account(summary, (ClassLedger(0, 1.0, 2.0, np.zeros(6)),), "ab" * 32), [name]
        ),
        links_table([(name, [Link(name, name, 8.25, 12, 1.5, 40, 60)])]),
        audit_table([AuditEntry("noon", name, name, "reset", "ab", 3)]),
    ]
    for table in tables:
        text = printed(table)
        assert shown in text
        assert not {"\x1b", "\u202e"} & set(text)
