"""Why a query has no verdict: of all that can fail, a caller's answer depends on this alone."""

from __future__ import annotations

from enum import IntEnum


class Failure(IntEnum):
    """Why a query has no verdict, the gravest cause last. The numbers are those of the wire."""

    STORE_AWAY = 1
    """The ledger store does not answer, and memory alone cannot decide."""
    LEDGER_FULL = 2
    """The query would have to be recorded, and the ledger store takes no records."""
    LEDGER_DAMAGED = 3
    """The ledger of its account, or of its group, holds something else than records."""


NO_FAILURE = 0
"""Stands in place of a failure where a query has a verdict."""
