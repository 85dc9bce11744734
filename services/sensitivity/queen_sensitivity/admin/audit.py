"""The audit: who changed an account's ledgers, when and why; kept in the store and logged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

from queen.operators import AuditEntry, Mandate
from queen.serving.logging import account_hash, logger
from queen_sensitivity.ledger_store import LedgerStore


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Audit:
    """Writes and reads entries; no entry holds an account's id, so that a deletion leaves none."""

    def __init__(self, store: LedgerStore, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._now = now
        self._log = logger("audit")

    def record(self, action: str, account_id: str, mandate: Mandate, records_before: int) -> None:
        """Keep an entry, before the change itself.

        A failed change may have an entry, but no change is without an entry.
        """
        entry = AuditEntry(
            time=self._now().isoformat(),
            actor=mandate.actor,
            reason=mandate.reason,
            action=action,
            account_hash=account_hash(account_id),
            records_before=records_before,
        )
        self._store.append_audit(json.dumps(asdict(entry)).encode())
        # The level is warning, so that the entry is logged even by a service set to log little.
        self._log.warning("account changed", **asdict(entry))

    def page(self, after: int, size: int) -> tuple[list[AuditEntry], bool]:
        """Up to `size` entries behind the first `after`, and whether there are more."""
        entries = self._store.read_audit(after, size + 1)
        return [AuditEntry(**json.loads(entry)) for entry in entries[:size]], len(entries) > size
