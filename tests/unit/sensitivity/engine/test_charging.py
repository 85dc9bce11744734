"""The owners that a micro-batch charges: accounts, their groups, and observed ones once more."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.engine.charging import (
    AccountPolicy,
    charge_owners,
    exempt_rows,
    spare_exempt,
)

from queen.method.crossing import NO_LIMIT, CrossingPolicy
from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Assessment, Verdict
from tests.unit.sensitivity.regions import batch_of, small_geometry

GEOMETRY = small_geometry()
LABELS = np.array([0, 1, 2, 0])
POINTS = GEOMETRY.cluster_centers[LABELS]


def test_without_groups_the_batch_is_charged_as_it_is() -> None:
    """Every query to its account, under its scope."""
    policies = [AccountPolicy("a", CrossingPolicy(5), Scope.CLASS), AccountPolicy("b")]
    queries = batch_of(policies, POINTS, LABELS, [1, 0, 1, 1])
    charged, charges, observed = charge_owners(queries)
    assert charged is queries
    assert len(observed.row) == 0
    assert charges.row.tolist() == [0, 1, 2, 3]
    assert charges.owner.tolist() == [1, 0, 1, 1]
    assert charges.scopes.tolist() == [Scope.QUERY, Scope.CLASS, Scope.QUERY, Scope.QUERY]


def test_a_group_is_charged_behind_its_accounts_in_their_order() -> None:
    """It is an owner of its own, with its own budget; accounts without a group add no row."""
    policies = [
        AccountPolicy("a", group="us", group_crossing=CrossingPolicy(9)),
        AccountPolicy("b"),
        AccountPolicy("c", group="us", group_crossing=CrossingPolicy(9)),
    ]
    queries = batch_of(policies, POINTS, LABELS, [2, 1, 0, 2])
    charged, charges, _ = charge_owners(queries)
    assert [(policy.account_id, policy.crossing.budget) for policy in charged.accounts] == [
        *(("a", 0), ("b", 0), ("c", 0)),
        ("group us", 9),
    ]
    assert charges.row.tolist() == [0, 1, 2, 3, 0, 2, 3]
    assert charges.owner.tolist() == charged.account_index.tolist() == [2, 1, 0, 2, 3, 3, 3]
    assert charged.labels.tolist() == LABELS[charges.row].tolist()
    assert np.array_equal(charged.embeddings, POINTS[charges.row])
    assert len(charges.scopes) == len(queries)


def test_observed_queries_are_charged_once_more_without_a_limit() -> None:
    """Behind all others, to owners of their own: of the account, and of its group."""
    policies = [
        AccountPolicy(
            "a", CrossingPolicy(5), group="us", group_crossing=CrossingPolicy(9), is_observed=True
        ),
        AccountPolicy("b", group="us", group_crossing=CrossingPolicy(9)),
        AccountPolicy("c", is_observed=True),
    ]
    queries = batch_of(policies, POINTS, LABELS, [2, 1, 0, 2])
    charged, charges, observed = charge_owners(queries)
    assert charges.row.tolist() == [0, 1, 2, 3, 1, 2]
    assert charges.owner.tolist() == [2, 1, 0, 2, 3, 3]
    names = [policy.account_id for policy in charged.accounts]
    assert names == ["a", "b", "c", "group us", "observed a", "observed c", "observed group us"]
    assert [policy.crossing for policy in charged.accounts[4:]] == [NO_LIMIT] * 3
    assert charged.account_index.tolist() == [2, 1, 0, 2, 3, 3, 5, 4, 5, 6]
    assert observed.row.tolist() == [0, 2, 3, 2]
    assert observed.is_group.tolist() == [False, False, False, True]
    rows = [*charges.row, *observed.row]
    assert charged.labels.tolist() == LABELS[rows].tolist()
    assert np.array_equal(charged.embeddings, POINTS[rows])


def test_exempt_accounts_are_spared_and_no_others() -> None:
    """A REVERSE of theirs is PRESERVE without a cause; without exempt accounts nothing is made."""
    policies = [AccountPolicy("a", is_exempt=True), AccountPolicy("b")]
    queries = batch_of(policies, POINTS, LABELS, [0, 1, 0, 1])
    numbers = np.zeros(4)
    given = [Verdict.REVERSE, Verdict.REVERSE, Verdict.RECORD, Verdict.PRESERVE]
    verdicts = np.array(given, np.uint8)
    causes = np.array([Cause.ACCOUNT, Cause.ACCOUNT, 0, 0], np.uint8)
    enforced = Assessment(verdicts, numbers, numbers, numbers, numbers, causes=causes)
    spared = spare_exempt(enforced, queries)
    assert exempt_rows(queries).tolist() == [True, False, True, False]
    assert spared.verdicts.tolist() == [
        *(Verdict.PRESERVE, Verdict.REVERSE),
        *(Verdict.RECORD, Verdict.PRESERVE),
    ]
    assert spared.causes.tolist() == [0, Cause.ACCOUNT, 0, 0]
    assert spare_exempt(enforced, batch_of(policies[1:], POINTS, LABELS)) is enforced
