"""The audit of changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import structlog
from queen_sensitivity.admin.audit import Audit, utc_now
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.operators import AuditEntry
from queen.serving.logging import account_hash
from tests.unit.sensitivity.admin.accounts import BY_ANA

NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)


def test_entries_are_read_in_pages_in_the_order_of_the_changes() -> None:
    """Each page says whether more entries follow it."""
    minutes = count()
    audit = Audit(MemoryLedgerStore(), lambda: NOON + timedelta(minutes=next(minutes)))
    for records in range(5):
        audit.record("reset", "a", BY_ANA, records)
    pages = [audit.page(after, 2) for after in (0, 2, 4)]
    assert [has_more for _, has_more in pages] == [True, True, False]
    entries = [entry for page, _ in pages for entry in page]
    assert [entry.records_before for entry in entries] == list(range(5))
    assert [entry.time for entry in entries] == sorted(entry.time for entry in entries)
    assert audit.page(5, 2) == ([], False)


def test_an_entry_is_logged_as_it_is_kept() -> None:
    """The log line is a warning, with the fields of the entry and no account id."""
    audit = Audit(MemoryLedgerStore(), lambda: NOON)
    with structlog.testing.capture_logs() as lines:
        audit.record("delete", "an-account", BY_ANA, 3)
    expected = AuditEntry(
        NOON.isoformat(), "ana", "ticket 7", "delete", account_hash("an-account"), 3
    )
    assert audit.page(0, 9) == ([expected], False)
    (line,) = lines
    assert line["log_level"] == "warning"
    assert line.items() >= vars(expected).items()
    assert "an-account" not in str(line)


def test_the_clock_is_in_utc() -> None:
    """Entries of servers in several time zones are in one order."""
    assert utc_now().tzinfo is UTC
