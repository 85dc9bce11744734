"""The timed store; tests/contract holds it to the promises of a store."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram
from queen_sensitivity.ledger_store import MemoryLedgerStore, TimedStore

from tests.contract.ledger_stores import append_of


def test_loads_and_appends_are_observed_and_nothing_else_is() -> None:
    """Each call is one observation, however many appends it has."""
    registry = CollectorRegistry()
    load, append = (Histogram(name, name, registry=registry) for name in ("load", "append"))
    store = TimedStore(MemoryLedgerStore(), load, append)
    store.append_many([append_of("a", 0, 1.0), append_of("b", 0, 1.0)])
    for _ in range(3):
        store.load("a", "g")
    store.generations(["a"], "g")
    store.list_accounts("g", "", 9)
    assert registry.get_sample_value("append_count") == 1
    assert registry.get_sample_value("load_count") == 3
