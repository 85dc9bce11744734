"""Measures what the state of the accounts costs: verdicts, appends and memory, at scale.

Times of the engine are CPU times of its one thread, so that other work on the machine counts
less; those of stores and of accounts that are read from one are wall-clock times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from queen_sensitivity.ledger_store import LedgerStore, MemoryLedgerStore, open_sqlite_store

from queen.bench.state.appends import measure_redis, measure_sqlite
from queen.bench.state.ledger_load import Crowd, Site
from queen.bench.state.many_accounts import measure_many_accounts, measure_memory
from queen.bench.state.records import measure_records
from queen.bench.state.search import count_cells, measure_search
from queen.bench.state.timing import cpu_times, p50

T = TypeVar("T")
_STEPS = ("bytes_per_account", "assess", "records", "redis", "sqlite")
_SEEN_TOGETHER = 4096
_TURNS = 25
_SHARE = 5
"""A turn runs one in this many of the rounds."""
_MODES: tuple[tuple[str, int, list[int] | None, float], ...] = (
    ("64 accounts", 64, None, 0.0),
    ("64 rows of 1 account", 64, [0], 0.0),
    ("1,024 rows", 1024, None, 0.0),
    ("64 accounts, every tenth row recorded", 64, None, 0.1),
    ("64 accounts, every row recorded", 64, None, 1.0),
)
"""Kinds of batches: name, rows, accounts if not drawn at random, share of novel rows."""


@dataclass(frozen=True)
class StateOptions:
    """`accounts` known in all, `crowd` of them with full ledgers; `rounds` of each measure.

    Without `redis_url` the bench starts a redis-server of its own.
    """

    accounts: int = 1_000_000
    crowd: int = 1000
    rounds: int = 300
    redis_url: str | None = None
    cached_accounts: int = 10_000


def count_steps(options: StateOptions) -> int:
    """Number of times that `run_state_bench` calls `on_step`."""
    return len(_STEPS) + count_cells() + -(-options.accounts // _SEEN_TOGETHER)


def run_state_bench(
    options: StateOptions, on_step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """The measures by name; docs/results.md explains them.

    Raises ConfigError where there is neither a Redis nor a redis-server to start.
    """
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        figures |= _in_fresh_process(measure_assess, options)
        on_step()
        figures |= _in_fresh_process(measure_memory, 4 * options.crowd)
        on_step()
        batches = _batches(options.accounts)
        with _sqlite(Path(folder) / "many") as store:
            figures |= measure_many_accounts(
                store, options.cached_accounts, batches, options.rounds, on_step
            )
        figures |= measure_records(options.rounds)
        on_step()
        figures["search"] = measure_search(options.rounds, on_step)
        figures |= measure_redis(options.redis_url, Path(folder), options.rounds)
        on_step()
        figures |= measure_sqlite(Path(folder), options.rounds)
        on_step()
    return figures


def _in_fresh_process(measure: Callable[[T], dict[str, Any]], argument: T) -> dict[str, Any]:
    """The figures of a measure in a new process, in which nothing was measured before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        return processes.submit(measure, argument).result()


def _batches(accounts: int) -> list[range]:
    starts = range(0, accounts, _SEEN_TOGETHER)
    return [range(start, min(start + _SEEN_TOGETHER, accounts)) for start in starts]


@contextmanager
def _sqlite(path: Path) -> Iterator[LedgerStore]:
    store = open_sqlite_store(path)
    try:
        yield store
    finally:
        store.close()


def measure_assess(options: StateOptions) -> dict[str, Any]:
    """Queries a second and core, from memory, over accounts with 100 records in 5 classes.

    Other work of a host slows a core for seconds at a time, even in CPU time. So the kinds of
    batches run in turns, many times: a rate is the median of its turns, and beside it stand
    the lowest and the highest of them.
    """
    crowd = Crowd(Site(), options.crowd, classes=5, records=100)
    store = MemoryLedgerStore()
    crowd.fill(store)
    # A budget of twice the records: no ledger is crossed, so that novel queries are recorded.
    book = crowd.site.book(store, budget=200, cached_accounts=options.cached_accounts)
    rng = np.random.default_rng(0)
    for first in range(0, options.crowd, 256):
        names = range(first, min(first + 256, options.crowd))
        book.assess(crowd.batch(rng, len(names), accounts=names))
    turns: dict[str, list[float]] = {mode[0]: [] for mode in _MODES}
    for _ in range(_TURNS):
        for name, rows, accounts, novel in _MODES:
            count = -(-options.rounds * 64 // (rows * _SHARE))
            batches = [crowd.batch(rng, rows, accounts=accounts, novel=novel) for _ in range(count)]
            turns[name].append(rows / p50(cpu_times(book.assess, batches)))
    return {
        "assess_per_second_per_core": round(p50(turns["64 accounts"])),
        "assess_rates": {name: round(p50(rates)) for name, rates in turns.items()},
        "assess_spreads": {name: [round(min(r)), round(max(r))] for name, r in turns.items()},
    }
