"""How much of an account a spent budget turns to REVERSE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    CLASSES,
    batch_of,
    book_of,
    disc,
    open_store,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
SPENT, OTHER = 2, 1


def under(scope: Scope) -> list[AccountPolicy]:
    """An account with that scope."""
    return [AccountPolicy("a", scope=scope)]


def probe() -> tuple[np.ndarray, np.ndarray]:
    """A query outside of its region, then one at the center, of the spent and another class."""
    centers = GEOMETRY.cluster_centers
    embeddings = [ring(GEOMETRY, SPENT, 1), centers[[SPENT]], ring(GEOMETRY, OTHER, 1)]
    return np.concatenate([*embeddings, centers[[OTHER]]]), np.array([SPENT, SPENT, OTHER, OTHER])


REVERSED = {
    # The center of a spent class lies near some record; only as a wider scope is it reversed.
    Scope.QUERY: [False, False, False, False],
    Scope.CLASS: [True, True, False, False],
    Scope.ACCOUNT: [True, True, True, True],
    Scope.REPEATED: [True, False, True, True],
}


@pytest.mark.parametrize("scope", list(Scope))
def test_across_batches_a_spent_budget_reaches_as_far_as_the_scope(scope: Scope) -> None:
    """QUERY leaves what is covered or outside, REPEATED what is covered, ACCOUNT nothing at all."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    points = np.concatenate([GEOMETRY.cluster_centers[[SPENT]], disc(GEOMETRY, SPENT, 1, 100)])
    book.assess(batch_of(under(scope), points, np.full(len(points), SPENT)))
    step = book.assess(batch_of(under(scope), *probe()))
    assert (step.verdicts == Verdict.REVERSE).tolist() == REVERSED[scope]
    assert (step.causes == Cause.ACCOUNT).tolist() == REVERSED[scope]


@pytest.mark.parametrize("scope", list(Scope))
def test_within_one_batch_every_row_after_the_crossing_is_reached(scope: Scope) -> None:
    """The row that crosses is still RECORD; what follows it is as in a batch of its own."""
    embeddings, labels = stream(GEOMETRY, 3, 300)
    step = book_of(GEOMETRY, MemoryLedgerStore()).assess(batch_of(under(scope), embeddings, labels))
    alone = book_of(GEOMETRY, MemoryLedgerStore())
    one_by_one = [
        alone.assess(batch_of(under(scope), embeddings[[row]], labels[[row]])).verdicts[0]
        for row in range(300)
    ]
    assert step.verdicts.tolist() == one_by_one
    if scope is Scope.ACCOUNT:
        first = int(np.argmax(step.verdicts == Verdict.REVERSE))
        assert 0 < first < 200
        assert step.verdicts[first - 1] == Verdict.RECORD
        assert (step.verdicts[first:] == Verdict.REVERSE).all()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_after_a_restart_an_account_that_crossed_is_still_over(kind: str, tmp_path: Path) -> None:
    """The scope ACCOUNT follows from the records in the store, also for classes never asked."""
    store = open_store(kind, tmp_path)
    points = disc(GEOMETRY, SPENT, 1, 100)
    book_of(GEOMETRY, store).assess(
        batch_of(under(Scope.ACCOUNT), points, np.full(len(points), SPENT))
    )
    step = book_of(GEOMETRY, store).assess(batch_of(under(Scope.ACCOUNT), *probe()))
    assert (step.verdicts == Verdict.REVERSE).all()
    store.close()


def test_records_are_the_same_under_every_scope() -> None:
    """An account whose profile changes has the ledger it would always have had.

    All but REPEATED: what is refused under it is not recorded.
    """
    embeddings, labels = stream(GEOMETRY, 4, 400)
    kept = []
    for scope in (Scope.QUERY, Scope.CLASS, Scope.ACCOUNT):
        store = MemoryLedgerStore()
        book = book_of(GEOMETRY, store)
        for start in range(0, 400, 23):
            cut = slice(start, start + 23)
            book.assess(batch_of(under(scope), embeddings[cut], labels[cut]))
        stored = store.load("a", GEOMETRY.digest)
        kept.append([stored[label].tobytes() for label in range(CLASSES)])
    assert kept[0] == kept[1] == kept[2]


def test_no_account_is_reached_by_the_scope_of_another() -> None:
    """In one batch, one account over its budget leaves the other's rows as they were."""
    points = disc(GEOMETRY, SPENT, 1, 100)
    policies = [AccountPolicy("a", scope=Scope.ACCOUNT), AccountPolicy("b", scope=Scope.ACCOUNT)]
    labels = np.concatenate([np.full(100, SPENT), probe()[1]])
    owners = np.repeat([0, 1], [100, 4])
    step = book_of(GEOMETRY, MemoryLedgerStore()).assess(
        batch_of(policies, np.concatenate([points, probe()[0]]), labels, owners)
    )
    assert Verdict.REVERSE in step.verdicts[:100]
    assert Verdict.REVERSE not in step.verdicts[100:]
