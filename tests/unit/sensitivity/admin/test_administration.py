"""Reset, delete, export and import, without a transport."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import structlog
from queen_sensitivity.admin.administration import Administration
from queen_sensitivity.admin.audit import Audit
from queen_sensitivity.admin.transfer import read_account
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore
from queen_sensitivity.survey.accounts import ACCOUNTS_AT_A_TIME

from queen.errors import AccountNotFound, DependencyUnavailable
from queen.owners import observed_owner
from queen.serving.logging import account_hash
from tests.unit.sensitivity.admin.accounts import BY_ANA, DIGEST, GEOMETRY, filled

NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)


def administration_of(store: MemoryLedgerStore, forgotten: list[str]) -> Administration:
    """An administration whose audit is made at noon."""
    audit = Audit(store, lambda: NOON)
    return Administration(GEOMETRY, store, audit, forgotten.append, lambda: 1000)


def test_a_reset_empties_the_geometry_in_service_and_no_other() -> None:
    """Records and marks go under this geometry; the engine of the process forgets the account."""
    store, forgotten = MemoryLedgerStore(), []
    before, other = filled(store), filled(store, "b")
    store.append_many([Append(LedgerKey("a", "old", 0), 0, np.zeros((2, 2), np.float32))])
    erased = administration_of(store, forgotten).reset("a", BY_ANA)
    assert erased.records == before.count > 10
    assert before.marks
    assert store.load("a", DIGEST) == {}
    assert store.generations(["a"], DIGEST) == [1000]
    assert len(store.load("a", "old")[0]) == 2
    assert read_account(store, GEOMETRY, "b").count == other.count
    assert forgotten == ["a"]


def test_a_deletion_reaches_every_geometry_and_can_be_repeated() -> None:
    """An attempt whose answer was lost is made again; it erases nothing and is no error."""
    store = MemoryLedgerStore()
    before = filled(store)
    store.append_many([Append(LedgerKey("a", "old", 0), 0, np.zeros((2, 2), np.float32))])
    administration = administration_of(store, [])
    assert administration.delete("a", BY_ANA) == (before.count + 2, 2)
    assert store.load("a", "old") == store.load("a", DIGEST) == {}
    assert administration.delete("a", BY_ANA) == (0, 0)


@pytest.mark.parametrize("act", ["reset", "delete"])
def test_an_erasure_reaches_what_is_kept_apart(act: str) -> None:
    """Observed ledgers go with those of their owner, and are not counted; others stay."""
    store, forgotten = MemoryLedgerStore(), []
    before = filled(store)
    apart = observed_owner("a")
    filled(store, apart)
    filled(store, observed_owner("b"))
    store.append_many([Append(LedgerKey(apart, "old", 0), 0, np.zeros((2, 2), np.float32))])
    assert getattr(administration_of(store, forgotten), act)("a", BY_ANA).records == before.count
    assert store.load(apart, DIGEST) == {}
    assert bool(store.load(apart, "old")) is (act == "reset")
    assert store.load(observed_owner("b"), DIGEST)
    assert forgotten == ["a", apart]
    exported = administration_of(store, []).export()
    assert [account.account_id for account in exported] == []


@pytest.mark.parametrize("act", ["reset", "delete"])
def test_an_unknown_account_is_not_found_and_leaves_no_trace(act: str) -> None:
    """Neither a generation nor an audit entry is made of a slip of the hand."""
    store = MemoryLedgerStore()
    with pytest.raises(AccountNotFound):
        getattr(administration_of(store, []), act)("nobody", BY_ANA)
    assert store.geometries("nobody") == []
    assert store.read_audit(0, 5) == []


def test_every_change_is_in_the_store_and_in_the_log_without_the_account_id() -> None:
    """Actor, reason, action and time; the account as logs name it, and how much it had."""
    store = MemoryLedgerStore()
    exported = filled(store, "who-it-is")
    administration = administration_of(store, [])
    with structlog.testing.capture_logs() as lines:
        administration.reset("who-it-is", BY_ANA)
        administration.import_accounts([exported], BY_ANA)
        administration.delete("who-it-is", BY_ANA)
    entries, has_more = Audit(store).page(0, 2)
    assert has_more
    entries += Audit(store).page(2, 2)[0]
    assert [entry.action for entry in entries] == ["reset", "import", "delete"]
    assert [entry.records_before for entry in entries] == [exported.count, 0, exported.count]
    for entry, line in zip(entries, lines, strict=True):
        assert (entry.time, entry.actor, entry.reason) == (NOON.isoformat(), "ana", "ticket 7")
        assert entry.account_hash == account_hash("who-it-is")
        assert line["logger"] == "audit"
        assert line["account_hash"] == entry.account_hash
        assert "who-it-is" not in json.dumps(line)
    assert b"who-it-is" not in b"".join(store.read_audit(0, 9))


class AuditFails(MemoryLedgerStore):
    """A store that keeps no audit entry."""

    def append_audit(self, entry: bytes) -> None:  # noqa: ARG002 - the protocol's
        """Fail."""
        raise DependencyUnavailable("expected an answer, got none")


def test_no_change_without_its_audit_entry() -> None:
    """A store that does not keep the entry keeps the records, too."""
    store = AuditFails()
    before = filled(store)
    with pytest.raises(DependencyUnavailable):
        administration_of(store, []).reset("a", BY_ANA)
    assert read_account(store, GEOMETRY, "a").count == before.count


def test_an_exemption_is_audited_with_the_records_by_then() -> None:
    """An account without a record may be exempt, too; no record changes."""
    store = MemoryLedgerStore()
    before = filled(store)
    administration = administration_of(store, [])
    assert administration.audit_exemption("a", True, BY_ANA) == before.count
    assert administration.audit_exemption("new", False, BY_ANA) == 0
    entries, _ = Audit(store).page(0, 5)
    assert [entry.action for entry in entries] == ["exempt", "end of exemption"]
    assert read_account(store, GEOMETRY, "a").count == before.count


@pytest.mark.parametrize("count", [0, 1, ACCOUNTS_AT_A_TIME, 2 * ACCOUNTS_AT_A_TIME + 3])
def test_an_export_holds_every_account_once_in_order(count: int) -> None:
    """However many pages of accounts the store has."""
    store = MemoryLedgerStore()
    names = [f"{number:04}" for number in range(count)]
    record = GEOMETRY.cluster_centers[:1]
    store.append_many([Append(LedgerKey(name, DIGEST, 0), 0, record) for name in names])
    exported = list(administration_of(store, []).export())
    assert [account.account_id for account in exported] == names
    assert all(account.count == 1 for account in exported)


def test_an_export_of_named_accounts_ends_at_an_unknown_one() -> None:
    """The accounts before it are exported."""
    store = MemoryLedgerStore()
    filled(store, "a")
    filled(store, "b")
    exported = administration_of(store, []).export(["b", "nobody", "a"])
    assert next(exported).account_id == "b"
    with pytest.raises(AccountNotFound):
        next(exported)


def test_an_import_makes_the_engine_read_the_account_again() -> None:
    """It counts the records that were added, and those that others cover, over all accounts."""
    store, target, forgotten = MemoryLedgerStore(), MemoryLedgerStore(), []
    accounts = [filled(store, "a"), filled(store, "b", seed=2)]
    total = sum(account.count for account in accounts)
    administration = administration_of(target, forgotten)
    assert administration.import_accounts(accounts, BY_ANA) == (total, 0)
    assert administration.import_accounts(accounts, BY_ANA) == (0, total)
    assert forgotten == ["a", "b"] * 2
