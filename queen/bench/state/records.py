"""Measures how the records of a class change the latency of a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.state.ledger_load import MEAN_SQUARED_SQS, Crowd, Site
from queen.bench.state.timing import interleaved, worse
from queen.errors import LedgerError
from queen.method.ledger import Verdict
from queen.method.sensitivity import largest_budget, single_query_sensitivity

_BATCHES = (1, 64)


def measure_records(rounds: int) -> dict[str, Any]:
    """Latency of an assess with as many records of a class as a budget allows, over that with few.

    The ratio is that of a recorded query: a ledger without a record has no other query
    inside its region. A second ratio is that of a covered query, over a ledger with 1 record. Each
    is the worse ratio of batches of 1 and of 64 accounts.
    """
    site = Site()
    budget = largest_budget(site.geometry, np.full(1, MEAN_SQUARED_SQS))
    most = _most_records(site, budget)
    counts = {1: rounds // 2 + 1, 64: rounds // 15 + 1}
    accounts = sum(batch * count for batch, count in counts.items())
    books, crowds = {}, {}
    for records in (0, 1, most):
        crowds[records] = Crowd(site, accounts, 1, records, f"of-{records}")
        books[records] = _filled(crowds[records], budget)
    ratios: dict[str, list[float]] = {"recorded": [], "covered": []}
    details: dict[str, dict[str, float]] = {}
    first = 0
    for batch in _BATCHES:
        last = first + batch * counts[batch]
        groups = [range(start, start + batch) for start in range(first, last, batch)]
        first = last
        # Covered queries come first, since a recorded query makes its class crossed.
        for name, few, point in (("covered", 1, 0), ("recorded", 0, None)):
            verdict = Verdict.PRESERVE if name == "covered" else Verdict.RECORD
            ends = (few, most)
            calls = [_expecting(books[end], verdict) for end in ends]
            batches = [[_rows(crowds[end], group, point) for group in groups] for end in ends]
            low, high = interleaved(calls, batches)
            ratios[name].append(high / low)
            details[f"{name}, batch {batch}"] = {
                "few_microseconds": round(1e6 * low, 1),
                "most_microseconds": round(1e6 * high, 1),
                "ratio": round(high / low, 3),
            }
    return {
        "p50_ratio_records": round(worse(ratios["recorded"]), 3),
        "p50_ratio_records_covered": round(worse(ratios["covered"]), 3),
        "most_records": most,
        "records_latency": details,
    }


def _most_records(site: Site, budget: int) -> int:
    """Records after which the cqs of a class is within 1 % of its threshold, but not over it."""
    zeros = np.zeros(len(site.lattice), np.int64)
    distances = np.linalg.norm(site.lattice, axis=1)
    sqs = single_query_sensitivity(site.geometry, distances, zeros)
    return int(0.99 * budget * MEAN_SQUARED_SQS / float(np.square(sqs).mean()))


def _filled(crowd: Crowd, budget: int) -> LedgerBook:
    """An engine that holds the crowd in memory."""
    store = MemoryLedgerStore()
    if crowd.records:
        crowd.fill(store)
    book = crowd.site.book(store, budget=budget, cached_accounts=crowd.accounts)
    rng = np.random.default_rng(0)
    for first in range(0, crowd.accounts, 64):
        names = range(first, min(first + 64, crowd.accounts))
        book.assess(crowd.outside(rng, names))
    return book


def _rows(crowd: Crowd, group: range, point: int | None) -> Queries:
    """A query of each account: on a record, or on the first point without a record."""
    points = np.full(len(group), crowd.records if point is None else point)
    return crowd.at(group, np.zeros(len(group), np.int64), points)


def _expecting(book: LedgerBook, verdict: Verdict) -> Callable[[Queries], None]:
    """The assessment of a batch; LedgerError for a row with a verdict other than `verdict`."""

    def assess(queries: Queries) -> None:
        if not (book.assess(queries).verdicts == int(verdict)).all():
            raise LedgerError(f"expected {verdict.name} for every row, got another verdict")

    return assess
