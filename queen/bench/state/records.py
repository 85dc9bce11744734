"""What the records of a class do to the latency of a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.state.ledger_load import MEAN_SQUARED_SQS, Crowd, Site
from queen.bench.state.timing import interleaved, worse
from queen.errors import LedgerError
from queen.method.ledger import Verdict
from queen.method.sensitivity import largest_budget, single_query_sensitivity

_BATCHES = (1, 64)


def measure_records(rounds: int) -> dict[str, Any]:
    """Latency of an assess with as many records of a class as a budget allows, over few.

    The ratio is that of a recorded query: a ledger without a record has no other query
    inside its region. Beside it that of a covered one, over a ledger with 1 record. The worse of
    batches of 1 and of 64 accounts.
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
        # Covered first: what is recorded crosses its threshold.
        for name, few, place in (("covered", 1, 0), ("recorded", 0, None)):
            verdict = Verdict.PRESERVE if name == "covered" else Verdict.RECORD
            ends = (few, most)
            calls = [_expecting(books[end], verdict) for end in ends]
            given = [[_rows(crowds[end], group, place) for group in groups] for end in ends]
            low, high = interleaved(calls, given)
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
    """Records after which a class is within 1 in 100 of its threshold, but not over it."""
    zeros = np.zeros(len(site.lattice), np.int64)
    distances = np.linalg.norm(site.lattice, axis=1)
    sqs = single_query_sensitivity(site.geometry, distances, zeros)
    return int(0.99 * budget * MEAN_SQUARED_SQS / float(np.square(sqs).mean()))


def _filled(crowd: Crowd, budget: int) -> Any:
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


def _rows(crowd: Crowd, group: range, place: int | None) -> Any:
    """A query of each account: on a record, or on the first point without one."""
    places = np.full(len(group), crowd.records if place is None else place)
    return crowd.at(group, np.zeros(len(group), np.int64), places)


def _expecting(book: Any, verdict: Verdict) -> Any:
    """The call, which fails where it is not the one that was to be measured."""

    def assess(queries: Any) -> None:
        if not (book.assess(queries).verdicts == int(verdict)).all():
            raise LedgerError(f"expected {verdict.name} for every row, got another verdict")

    return assess
