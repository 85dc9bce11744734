"""Builds the engine out of its parts, for the service, the benches, the red team and the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from queen_sensitivity.engine.book import LedgerBook, Limits
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.engine.recording import Recorder
from queen_sensitivity.engine.refusal import IdleRule
from queen_sensitivity.engine.step import LedgerStep
from queen_sensitivity.index.base import IndexKind, open_index
from queen_sensitivity.ledger_store import LedgerStore
from queen_sensitivity.ledgers.account_cache import AccountCache, Recheck
from queen_sensitivity.ledgers.ledger_memory import AccountTable, LedgerMemory, UnwrittenRecords
from queen_sensitivity.ledgers.ledger_table import LedgerTable
from queen_sensitivity.ledgers.repair import LedgerRepair
from queen_sensitivity.metrics import CAS_RESULTS, Count


class _Uncounted:
    """A count that nothing reads."""

    def inc(self, _amount: float = 1) -> None:
        """Count nothing."""

    def set(self, _value: float, /) -> None:
        """Show nothing."""


def _ignore(_: object) -> None:
    """Ignore an event."""


_UNCOUNTED = _Uncounted()


@dataclass(frozen=True)
class Listeners:
    """Counters and a function to which the engine reports its work, on its own thread."""

    appends: Mapping[str, Count] = field(
        default_factory=lambda: dict.fromkeys(CAS_RESULTS, _UNCOUNTED)
    )
    """The store's answers to appends, of `CAS_RESULTS`."""
    repaired: Count = _UNCOUNTED
    """Records that were given back to the store."""
    unwritten: UnwrittenRecords = field(default_factory=lambda: UnwrittenRecords(0, _UNCOUNTED))
    """Room for records in memory alone, while the store keeps none; it shows how many there are."""
    announce: Callable[[Sequence[Crossing]], None] = _ignore
    """Gets the crossings of a batch that has any."""


def open_book(
    limits: Limits,
    store: LedgerStore,
    *,
    cached_accounts: int,
    search: IndexKind = "auto",
    listeners: Listeners = Listeners(),
    recheck: Recheck = Recheck(),  # noqa: B008 - frozen
) -> LedgerBook:
    """An engine over `store` that keeps `cached_accounts` in memory, those that asked last.

    Raises ConfigError for a `search` that cannot run here.
    """
    geometry = limits.geometry
    # Lists of groups are compared with the store from the limit of an account on, which is early.
    limit = np.inf if limits.meter is None else limits.meter.limit
    ledgers = LedgerTable(geometry.embedding_width)
    index = open_index(search, geometry, ledgers)
    accounts = AccountTable(geometry.num_classes, limit, recheck.seconds)
    memory = LedgerMemory(geometry, accounts, ledgers, index)
    repair = LedgerRepair(geometry, store, listeners.appends["regressed"], listeners.repaired)
    cache = AccountCache(
        *(memory, store, repair),
        size=cached_accounts,
        limit=limit,
        recheck=recheck,
        unwritten=listeners.unwritten,
    )
    step = LedgerStep(geometry, index, limits.charge)
    recorder = Recorder(memory, store, cache, listeners.appends, listeners.unwritten)
    idle_rule = IdleRule(geometry, limits.meter, step, accounts, ledgers)
    return LedgerBook(limits, memory, cache, step, idle_rule, recorder, listeners.announce)
