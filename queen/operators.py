"""Changes that an operator asks for: the values that the admin service and its client share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mandate:
    """The operator who asks for a change, and the reason."""

    actor: str
    reason: str


@dataclass(frozen=True)
class AuditEntry:
    """A change; `records_before` counts the account's records in all classes that it affects."""

    time: str
    actor: str
    reason: str
    action: str
    account_hash: str
    records_before: int
