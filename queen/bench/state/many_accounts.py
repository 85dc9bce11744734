"""Measures what many accounts cost: memory, and latency while most of them lie in the store."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.ledger_store import LedgerStore, MemoryLedgerStore

from queen.bench.machine import resident_bytes
from queen.bench.state.ledger_load import Crowd, Site
from queen.bench.state.timing import interleaved, p50, wall_times, worse

_FEW = 10
_ROWS = (1, 64)
_EMPTY = 20_000


def measure_memory(accounts: int) -> dict[str, Any]:
    """Resident bytes of an account in the cache, with 100 records in 5 classes and without any.

    Run it in a process of its own: free memory of earlier work would be used before new memory.
    """
    crowd = Crowd(Site(), accounts, classes=5, records=100, prefix="full")
    empty = Crowd(Site(), _EMPTY, classes=5, records=0, prefix="empty")
    store = MemoryLedgerStore()
    crowd.fill(store)
    book = crowd.site.book(store, budget=200, cached_accounts=accounts + _EMPTY)
    # The first call allocates memory that later calls share.
    book.assess(crowd.outside(np.random.default_rng(0), [0]))
    full_bytes = _growth(book, crowd)
    return {
        "bytes_per_account": full_bytes,
        "bytes_per_empty_account": _growth(book, empty),
        "records_per_account": crowd.classes * crowd.records,
    }


def _growth(book: LedgerBook, crowd: Crowd) -> int:
    """Resident bytes by which the process grows for each account of a crowd."""
    rng = np.random.default_rng(0)
    gc.collect()
    before = resident_bytes()
    for first in range(0, crowd.accounts, 64):
        names = range(first, min(first + 64, crowd.accounts))
        book.assess(crowd.outside(rng, names))
    gc.collect()
    return round((resident_bytes() - before) / crowd.accounts)


def measure_many_accounts(
    store: LedgerStore,
    cached_accounts: int,
    batches: Sequence[range],
    rounds: int,
    on_step: Callable[[], None],
) -> dict[str, Any]:
    """Have an engine see each account of `batches`, which records once; then ask it again.

    Latencies of accounts in memory are ratios to those of an engine that knows 10 accounts.
    """
    crowd = Crowd(Site(), batches[-1].stop, classes=1, records=1, prefix="known")
    book = crowd.site.book(store, budget=100, cached_accounts=cached_accounts)
    start = time.perf_counter()
    for names in batches:
        zeros = np.zeros(len(names), np.int64)
        book.assess(crowd.at(names, zeros, zeros))
        on_step()
    seconds = time.perf_counter() - start
    resident = resident_bytes()
    hot = np.arange(crowd.accounts)[-cached_accounts:]
    ratios, details = _hot(book, crowd, hot, rounds)
    return {
        "p50_ratio_accounts": round(worse(ratios), 3),
        "rss_gib_1m_accounts": round(resident / 2**30, 3),
        "accounts_known": crowd.accounts,
        "accounts_cached": book.accounts_cached,
        "new_accounts_per_second": round(crowd.accounts / seconds),
        "accounts_latency": details | _cold(book, crowd, len(hot), rounds),
    }


def _hot(
    book: LedgerBook, crowd: Crowd, hot: NDArray[np.int64], rounds: int
) -> tuple[list[float], dict[str, Any]]:
    few = Crowd(crowd.site, _FEW, classes=1, records=1, prefix="few")
    store = MemoryLedgerStore()
    few.fill(store)
    small = crowd.site.book(store, budget=100, cached_accounts=len(hot))
    rng = np.random.default_rng(0)
    ratios, details = [], {}
    for rows in _ROWS:
        count = min(rows, _FEW, len(hot))
        # No tail: it would append marks to accounts that the engine does not know yet.
        of_few = [
            few.batch(rng, rows, accounts=rng.permutation(_FEW)[:count].tolist(), tail=0.0)
            for _ in range(rounds)
        ]
        of_many = [
            crowd.batch(
                rng, rows, accounts=rng.choice(hot, count, replace=False).tolist(), tail=0.0
            )
            for _ in range(rounds)
        ]
        low, high = interleaved([small.assess, book.assess], [of_few, of_many])
        ratios.append(high / low)
        details[f"in memory, batch {rows}"] = {
            "few_microseconds": round(1e6 * low, 1),
            "many_microseconds": round(1e6 * high, 1),
            "ratio": round(high / low, 3),
        }
    return ratios, details


def _cold(book: LedgerBook, crowd: Crowd, hot: int, rounds: int) -> dict[str, Any]:
    """Wall-clock latency of accounts that are read from the store first."""
    rng = np.random.default_rng(1)
    rounds = rounds // 4 + 1
    cold = rng.permutation(max(crowd.accounts - hot, 1))
    details, first = {}, 0
    for rows in _ROWS:
        groups = [cold[start : start + rows] for start in range(first, len(cold), rows)][:rounds]
        first += rows * rounds
        batches = [
            crowd.batch(rng, rows, accounts=group.tolist(), tail=0.0)
            for group in groups
            if len(group) == rows
        ]
        if batches:
            latency = p50(wall_times(book.assess, batches))
            details[f"read from the store, batch {rows}"] = {
                "many_microseconds": round(1e6 * latency, 1)
            }
    return details
