"""The measures over many accounts."""

from __future__ import annotations

from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.state.many_accounts import measure_many_accounts


def test_accounts_in_memory_and_in_the_store_are_measured() -> None:
    """Every account is seen once, and as many as fit stay cached."""
    steps: list[None] = []
    figures = measure_many_accounts(
        MemoryLedgerStore(), 100, [range(200), range(200, 400)], 10, lambda: steps.append(None)
    )
    assert len(steps) == 2
    assert (figures["accounts_known"], figures["accounts_cached"]) == (400, 100)
    assert figures["accounts_latency"].keys() == {
        *("in memory, batch 1", "in memory, batch 64"),
        *("read from the store, batch 1", "read from the store, batch 64"),
    }
