"""A query that is refused leaves every kind of store as it was."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import LedgerStore

from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    batch_of,
    book_of,
    meter_of,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry(0.15)
OWNERS = ("a", "b", "group g")
POLICIES = [
    AccountPolicy(
        name, scope=Scope.REPEATED, group="g", group_crossing=CrossingPolicy(9, 2, CAP_OFF)
    )
    for name in ("a", "b")
]


def contents(store: LedgerStore) -> dict[tuple[str, int], bytes]:
    """All records and marks of the owners."""
    return {
        (owner, label): records.tobytes()
        for owner in OWNERS
        for label, records in store.load(owner, GEOMETRY.digest).items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_query_that_is_refused_changes_nothing_in_the_store(
    store: LedgerStore, seed: int
) -> None:
    """Neither records of the account or its group, nor marks of a meter; nor a later verdict."""
    rng = np.random.default_rng(seed)
    meter = meter_of(GEOMETRY, limit=6.0)
    crossing = CrossingPolicy(5, 2, CAP_OFF)
    book = book_of(GEOMETRY, store, crossing=crossing, meter=meter)
    pool, labels = stream(GEOMETRY, seed, 200, reach=1.5)
    refused = 0
    for _ in range(80):
        rows, account = rng.integers(0, 200, 4), int(rng.integers(2))
        queries = batch_of(POLICIES, pool[rows], labels[rows], np.full(4, account))
        before = contents(store)
        step = book.assess(queries)
        if step.verdicts[0] == Verdict.REVERSE:
            refused += 1
            assert contents(store) == before
            np.testing.assert_array_equal(book.assess(queries).verdicts, step.verdicts)
        elif Verdict.RECORD in step.verdicts:
            assert contents(store) != before
    assert refused > 20
    fresh = book_of(GEOMETRY, store, crossing=crossing, meter=meter)
    queries = batch_of(POLICIES, pool, labels)
    np.testing.assert_array_equal(fresh.assess(queries).verdicts, book.assess(queries).verdicts)
