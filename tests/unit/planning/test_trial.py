"""When ledgers cross and owners are over, from the cqs of observed ledgers."""

from __future__ import annotations

import numpy as np

from queen.bundle import Bundle
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Scope
from queen.method.sensitivity import budget_thresholds
from queen.planning.traffic import ObservedTraffic
from queen.planning.trial import NEVER, Outcome, PolicyTrial, first_above, first_off
from tests.unit.planning.traffics import Lift, charged, traffic_of

SCOPES = list(Scope)


def lifts_of(bundle: Bundle, *steps: tuple[int, int, float, float]) -> list[Lift]:
    """Queries whose cqs is stated in budgets of 10 records of their class."""
    table = budget_thresholds(bundle.geometry, bundle.mean_squared_sqs, 10)
    return [(owner, label, a * table[label], b * table[label]) for owner, label, a, b in steps]


def outcome_of(
    bundle: Bundle, traffic: ObservedTraffic, breadth: int = 1, class_cap: int = CAP_OFF
) -> Outcome:
    """The outcome of a budget of 10 records."""
    accounts = int(traffic.accounts.max()) + 1
    return PolicyTrial(traffic, bundle, accounts).outcome(
        CrossingPolicy(10, breadth, class_cap), SCOPES
    )


def test_a_ledger_is_crossed_for_the_query_behind_the_one_that_lifted_it() -> None:
    """At the threshold it is not crossed; after a gap, the query that finds it above says so."""
    lifts = [(0, 0, 0.0, 1.0), (0, 0, 1.0, 1.5), (0, 1, 0.0, 0.5), (0, 1, 1.2, 1.2)]
    first = first_above(charged(lifts, [3, 5, 6, 9], [0]), np.ones(3))
    assert first.tolist() == [6, 9]
    lifts = [(0, 2, 0.0, 1.0), (1, 1, 0.0, 1.0)]
    assert first_above(charged(lifts, [0, 1], [0, 1]), np.ones(3)).tolist() == [NEVER, NEVER]


def test_breadth_and_cap_say_when_an_owner_is_over(bundle: Bundle) -> None:
    """By its second crossed class, or by the cap of one; by none of both, never."""
    steps = [(0, 0, 0, 1.1), (0, 0, 1.1, 2.5), (0, 1, 0, 1.1), (0, 2, 0, 0.1)]
    traffic = traffic_of(lifts_of(bundle, *steps))
    assert outcome_of(bundle, traffic).over.tolist() == [1]
    assert outcome_of(bundle, traffic, 2).over.tolist() == [3]
    assert outcome_of(bundle, traffic, 2, 2).over.tolist() == [2]
    assert outcome_of(bundle, traffic_of(lifts_of(bundle, *steps[:2])), 2).over.tolist() == [NEVER]


def test_scopes_differ_in_what_is_reversed(bundle: Bundle) -> None:
    """New queries of crossed classes, all of crossed classes, or all."""
    steps = [(0, 0, 0, 1.1), (0, 0, 1.1, 1.1), (0, 0, 1.1, 1.2), (0, 1, 0, 0.1)]
    rows = outcome_of(bundle, traffic_of(lifts_of(bundle, *steps))).reversed_rows
    assert np.flatnonzero(rows[Scope.QUERY]).tolist() == [2]
    assert np.flatnonzero(rows[Scope.CLASS]).tolist() == [1, 2]
    assert np.flatnonzero(rows[Scope.ACCOUNT]).tolist() == [1, 2, 3]


def test_a_request_is_refused_whole_and_all_behind_it_is_not_known(bundle: Bundle) -> None:
    """From the first query on that finds its account over, with the request that it came in."""
    steps = [(0, 0, 0, 1.1), (0, 0, 1.1, 1.1), (0, 0, 1.1, 1.1), (0, 1, 0, 0.1), (0, 0, 1.1, 1.1)]
    for starts, refused in (([0, 1, 2, 2, 4], [1, 2, 3, 4]), ([0, 0, 2, 2, 4], [0, 1, 2, 3, 4])):
        rows = outcome_of(bundle, traffic_of(lifts_of(bundle, *steps), starts=starts)).reversed_rows
        assert np.flatnonzero(rows[Scope.REPEATED]).tolist() == refused


def test_an_account_that_is_off_distribution_is_reversed_whole(bundle: Bundle) -> None:
    """Under the scope of the account; an exempt account never is."""
    far = [(0, 0, 0.0, 0.0)] * 12
    lifts = lifts_of(bundle, *far, (0, 1, 0, 0.1), (1, 0, 0, 1.1), (1, 0, 1.1, 1.2))
    outcome = outcome_of(bundle, traffic_of(lifts, far=range(12), exempt=[1]))
    off = int(np.ceil(bundle.meter.limit / bundle.meter.rise))
    assert outcome.own.off.tolist() == [off, NEVER]
    for scope in (Scope.ACCOUNT, Scope.REPEATED):
        assert np.flatnonzero(outcome.reversed_rows[scope])[-1] == 12
    assert np.flatnonzero(outcome.reversed_rows[Scope.ACCOUNT]).tolist() == list(range(off, 13))
    assert not outcome.reversed_rows[Scope.QUERY].any()


def test_a_crossed_class_moves_no_meter(bundle: Bundle) -> None:
    """So a larger budget may tell more accounts off-distribution, and others fewer."""
    lifts = lifts_of(bundle, (0, 0, 0, 1.1), *[(0, 0, 1.1, 1.1)] * 12)
    traffic = traffic_of(lifts, far=range(1, 13))
    trial = PolicyTrial(traffic, bundle, 1)
    offs = [trial.outcome(CrossingPolicy(budget, 1, CAP_OFF), []).own.off[0] for budget in (10, 20)]
    assert offs[0] == NEVER
    assert offs[1] <= 13


def test_a_record_lowers_the_meter_and_an_erasure_empties_it() -> None:
    """Level by level, life by life; at the limit it stays."""
    lifts = [(0, 0, 0.0, 0.0)] * 3 + [(1, 0, 0.0, 0.0)] * 4
    ledgers = charged(lifts, range(10, 17), [0, 0])
    steps = np.array([2.0, -3.0, 2.0, 2.0, 0.0, 2.0, -2.0])
    assert first_off(ledgers, steps, 3.0).tolist() == [NEVER, 16]
    assert first_off(ledgers, steps, 2.0).tolist() == [11, 14]


def test_an_account_is_over_with_its_group(bundle: Bundle) -> None:
    """From the group's crossing on; a member that comes later, from its first query on."""
    own = lifts_of(bundle, (0, 0, 0, 0.6), (1, 0, 0, 0.6), (0, 0, 0.6, 0.6), (2, 1, 0, 0.1))
    group = lifts_of(bundle, (0, 0, 0, 0.6), (0, 0, 0.6, 1.2), (0, 0, 1.2, 1.2), (0, 1, 0, 0.1))
    outcome = outcome_of(bundle, traffic_of(own, groups=charged(group, [0, 1, 2, 3], [0])))
    assert outcome.over.tolist() == [2, 2, 3]
    assert np.flatnonzero(outcome.reversed_rows[Scope.ACCOUNT]).tolist() == [2, 3]
    assert np.flatnonzero(outcome.reversed_rows[Scope.CLASS]).tolist() == [2]


def test_after_an_erasure_an_account_is_not_over(bundle: Bundle) -> None:
    """Its second life begins with empty ledgers, and the first crossing stays its first."""
    lifts = lifts_of(bundle, (0, 0, 0, 1.1), (0, 0, 1.1, 1.2), (0, 0, 0, 0.1))
    traffic = traffic_of(lifts)
    lives = [(life, *lift[1:]) for life, lift in zip((0, 0, 1), lifts, strict=True)]
    object.__setattr__(traffic, "own", charged(lives, [0, 1, 2], [0, 0]))
    outcome = outcome_of(bundle, traffic)
    assert traffic.own.resets == 1
    assert outcome.over.tolist() == [1]
    assert np.flatnonzero(outcome.reversed_rows[Scope.ACCOUNT]).tolist() == [1]
