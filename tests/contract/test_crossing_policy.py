"""Over a budget with every store: it follows from the records in the store, and nothing else."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import LedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck

from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import batch_of, book_of, disc, small_geometry

GEOMETRY = small_geometry()
TWO = CrossingPolicy(6, 2, CAP_OFF)
POLICY = AccountPolicy("a", TWO, Scope.ACCOUNT, "us", CrossingPolicy(6, 2, 3))
ALWAYS = Recheck(0.0)


def probe() -> object:
    """A query of a class that was never asked about."""
    return batch_of([POLICY], GEOMETRY.cluster_centers[[2]], np.array([2]))


def ask(store: LedgerStore, label: int) -> np.ndarray:
    """Verdicts of an engine that knows nothing on 15 queries of a class."""
    points = disc(GEOMETRY, label, label, 15)
    book = book_of(GEOMETRY, store, recheck=ALWAYS)
    return book.assess(batch_of([POLICY], points, np.full(15, label))).verdicts


def test_an_account_is_over_by_the_classes_in_the_store(store: LedgerStore) -> None:
    """Each class by an engine of its own; a new engine sees both, of the account and the group."""
    assert Verdict.REVERSE not in ask(store, 0)
    assert ask(store, 1)[-1] == Verdict.REVERSE
    step = book_of(GEOMETRY, store).assess(probe())
    assert step.causes.tolist() == [Cause.ACCOUNT | Cause.GROUP]


def test_an_erasure_renews_the_account_and_not_its_group(store: LedgerStore) -> None:
    """A replica that knew the account as over learns of it, as of any erasure."""
    ask(store, 0)
    ask(store, 1)
    knowing = book_of(GEOMETRY, store, recheck=ALWAYS)
    assert knowing.assess(probe()).causes.tolist() == [Cause.ACCOUNT | Cause.GROUP]
    store.erase("a", [GEOMETRY.digest], 1)
    assert knowing.assess(probe()).causes.tolist() == [Cause.GROUP]
    store.erase("group us", [GEOMETRY.digest], 1)
    assert knowing.assess(probe()).verdicts.tolist() != [Verdict.REVERSE]


def test_a_lost_race_does_not_leave_an_owner_over(store: LedgerStore) -> None:
    """Two engines cross a class each; the one that is behind catches up where it records."""
    first, second = (book_of(GEOMETRY, store, recheck=Recheck(1e9)) for _ in range(2))
    for book in (first, second):
        book.assess(probe())
    for book, label in ((first, 0), (second, 1)):
        points = disc(GEOMETRY, label, label, 15)
        book.assess(batch_of([POLICY], points, np.full(15, label)))
    # Neither knows of the other's class until it records there.
    for book, label in ((first, 1), (second, 0)):
        points = disc(GEOMETRY, label, 7, 30)
        step = book.assess(batch_of([POLICY], points, np.full(30, label)))
        assert step.verdicts[-1] == Verdict.REVERSE
