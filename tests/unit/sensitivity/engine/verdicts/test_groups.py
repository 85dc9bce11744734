"""Accounts of one group, which are charged together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.accounts import AccountReader

from queen.errors import InvalidQuery
from queen.method.crossing import CrossingPolicy
from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Verdict
from queen.owners import group_owner
from tests.unit.sensitivity.regions import (
    batch_of,
    book_of,
    disc,
    meter_of,
    open_store,
    small_geometry,
)

GEOMETRY = small_geometry()
LABEL = 2


def member(name: str, **policy: object) -> AccountPolicy:
    """An account of the group `acme`; budgets are shorthand for policies that state no more."""
    names = {"budget": "crossing", "group_budget": "group_crossing"}
    policy = {
        names.get(key, key): CrossingPolicy(value) if key in names else value
        for key, value in policy.items()
    }
    return AccountPolicy(name, **{"group": "acme", **policy})  # type: ignore[arg-type]


def of_one_class(policies: list[AccountPolicy], points: np.ndarray, owner: int = 0) -> object:
    """A micro-batch of one account's queries of one class."""
    return batch_of(policies, points, np.full(len(points), LABEL), np.full(len(points), owner))


def test_a_budget_split_over_accounts_of_a_group_is_spent_once() -> None:
    """Each account stays under its own budget, and the group's is spent; its cause says so."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    points = disc(GEOMETRY, LABEL, 1, 60)
    policies = [member(f"a{number}") for number in range(10)]
    owners = np.arange(60) % 10
    step = book.assess(batch_of(policies, points, np.full(60, LABEL), owners))
    is_reversed = step.verdicts == Verdict.REVERSE
    assert is_reversed[40:].mean() > 0.3
    assert set(step.causes[is_reversed].tolist()) == {Cause.GROUP}
    assert not step.causes[~is_reversed].any()


def test_without_a_group_the_same_stream_is_never_reversed() -> None:
    """The same ten accounts on their own have ten budgets."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    policies = [AccountPolicy(f"a{number}") for number in range(10)]
    labels, owners = np.full(60, LABEL), np.arange(60) % 10
    step = book.assess(batch_of(policies, disc(GEOMETRY, LABEL, 1, 60), labels, owners))
    assert Verdict.REVERSE not in step.verdicts


@pytest.mark.parametrize(
    ("budget", "group_budget", "cause"),
    [(4, 40, Cause.ACCOUNT), (40, 4, Cause.GROUP), (4, 4, Cause.ACCOUNT | Cause.GROUP)],
)
def test_the_harsher_verdict_wins(budget: int, group_budget: int, cause: Cause) -> None:
    """Whichever of the two budgets is spent first reverses, and both causes can hold."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    policy = member("a", budget=budget, group_budget=group_budget)
    step = book.assess(of_one_class([policy], disc(GEOMETRY, LABEL, 1, 12)))
    causes = set(step.causes[step.verdicts == Verdict.REVERSE].tolist())
    assert causes == {int(cause)}


def test_an_account_outside_the_group_is_not_touched() -> None:
    """Its verdicts and its records are those of an account that is alone."""
    points = disc(GEOMETRY, LABEL, 1, 40)
    alone = book_of(GEOMETRY, MemoryLedgerStore()).assess(
        of_one_class([AccountPolicy("other")], points)
    )
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    policies = [member("a", group_budget=2), AccountPolicy("other")]
    labels, owners = np.full(80, LABEL), np.repeat([0, 1], 40)
    step = book.assess(batch_of(policies, np.concatenate([points, points]), labels, owners))
    assert np.array_equal(step.verdicts[40:], alone.verdicts)
    assert Cause.GROUP not in step.causes[40:]
    assert Cause.GROUP in step.causes[:40]
    recorded = store.load("other", GEOMETRY.digest)[LABEL]
    assert len(recorded) == (alone.verdicts == Verdict.RECORD).sum()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_ledger_of_a_group_is_stored_under_its_name_and_survives(
    kind: str, tmp_path: Path
) -> None:
    """After a restart another account of the group meets the budget that the first one spent."""
    store = open_store(kind, tmp_path)
    points = disc(GEOMETRY, LABEL, 1, 60)
    book_of(GEOMETRY, store).assess(of_one_class([member("a")], points[:40]))
    assert group_owner("acme") == "group acme"
    assert store.list_accounts(GEOMETRY.digest, "", 10) == ["a", "group acme"]
    own, grouped = (store.load(name, GEOMETRY.digest)[LABEL] for name in ("a", "group acme"))
    assert own.tobytes() == grouped.tobytes()

    again = book_of(GEOMETRY, store)
    step = again.assess(of_one_class([member("b", budget=60, scope=Scope.ACCOUNT)], points[40:]))
    assert (step.verdicts == Verdict.REVERSE).all()
    assert (step.causes == Cause.GROUP).all()
    store.close()


def test_a_group_has_a_budget_of_its_own() -> None:
    """A larger group budget lets the group record more; the accounts' budgets stay theirs."""
    counts = {}
    for group_budget in (4, 12, 40):
        store = MemoryLedgerStore()
        policies = [
            member(f"a{number}", budget=60, group_budget=group_budget) for number in range(3)
        ]
        labels, owners = np.full(90, LABEL), np.arange(90) % 3
        book_of(GEOMETRY, store).assess(
            batch_of(policies, disc(GEOMETRY, LABEL, 1, 90), labels, owners)
        )
        counts[group_budget] = len(store.load("group acme", GEOMETRY.digest)[LABEL])
    assert counts[4] < counts[12] < counts[40]


def test_a_group_budget_above_the_packing_limit_is_refused() -> None:
    """It is an error where it is stated, and nothing is recorded."""
    store = MemoryLedgerStore()
    with pytest.raises(InvalidQuery, match="expected a budget of at most"):
        book_of(GEOMETRY, store).assess(
            of_one_class([member("a", group_budget=100_000)], disc(GEOMETRY, LABEL, 1, 4))
        )
    assert store.list_accounts(GEOMETRY.digest, "", 10) == []


def test_a_group_is_an_owner_that_an_operator_can_read() -> None:
    """The admin API lists it beside its accounts, with the records of all of them."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    points = disc(GEOMETRY, LABEL, 1, 8)
    policies = [member("a"), member("b")]
    book.assess(batch_of(policies, points, np.full(8, LABEL), np.arange(8) % 2))
    reader = AccountReader(GEOMETRY, book.limits.thresholds, store, meter_of(GEOMETRY))
    states, _ = reader.page("", 10)
    counts = {state.account_id: state.record_count for state in states}
    assert list(counts) == ["a", "b", "group acme"]
    assert counts["group acme"] > max(counts["a"], counts["b"])


def test_a_group_ledger_that_fails_to_append_gives_no_verdict() -> None:
    """An error leaves neither the account nor its group in memory."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    book.assess(of_one_class([member("a")], disc(GEOMETRY, LABEL, 1, 4)))
    assert book.accounts_cached == 2
    with pytest.raises(InvalidQuery):
        book.assess(of_one_class([member("a", budget=100_000)], disc(GEOMETRY, LABEL, 1, 4)))
    assert book.accounts_cached == 0
