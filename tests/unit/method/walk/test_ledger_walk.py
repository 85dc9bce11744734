from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from queen.method.crossing import PolicyThresholds
from queen.method.enforcement import Scope
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from queen.method.meter.off_distribution import OffDistributionMeter, after, room_left, tail_cells
from queen.method.walk.ledger_walk import NEVER, LedgerWalk, Standings, first_true
from queen.method.walk.sent_samples import SentSamples
from tests.unit.method.regions import discs, inside_region

CLASSES = 4
GEOMETRY = discs(CLASSES, coverage_fraction=0.1)


def _samples(count: int = 240) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings (N, 2) and labels (N,): most inside of their regions, a quarter around them."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    embeddings = np.concatenate(
        [inside_region(rng, GEOMETRY, int(label), 1) for label in labels.tolist()]
    )
    outside = np.arange(count) % 16 < 4
    embeddings[outside] += (embeddings - GEOMETRY.cluster_centers[labels])[outside] * 0.5
    return embeddings.astype(np.float32), labels


EMBEDDINGS, LABELS = _samples()
WALK = LedgerWalk(SentSamples(GEOMETRY, EMBEDDINGS, LABELS))
ORDERS = np.random.default_rng(1).integers(len(LABELS), size=(7, 500))


def _ledger_step(order: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """By the ledger step: rows that are recorded (Q,), and cqs of every class after each (Q, C)."""
    rows = LedgerRows(EMBEDDINGS[order], LABELS[order], LABELS[order])
    levels = LedgerLevels(np.zeros(CLASSES), np.full(CLASSES, np.inf))
    step = assess_rows(GEOMETRY, rows, np.full(len(order), np.inf), levels)
    cqs = np.zeros((len(order), CLASSES))
    for position, label in enumerate(LABELS[order].tolist()):
        cqs[position] = cqs[position - 1] if position else 0.0
        cqs[position, label] = step.cqs_after[position]
    recorded = np.zeros(len(order), np.bool_)
    recorded[step.recorded] = True
    return recorded, cqs


def _level(share: float) -> NDArray[np.float64]:
    """A share of the cqs that the first account reaches, by class (C,)."""
    level: NDArray[np.float64] = share * _ledger_step(ORDERS[0])[1][-1]
    return level


def test_classes_pass_their_levels_where_the_ledger_step_passes_them() -> None:
    """For every account, class and level; a level that is never reached is never passed."""
    levels = np.stack([_level(0.3), _level(0.8), _level(3.0)])
    standings = WALK.standings(ORDERS, levels)
    for account, order in enumerate(ORDERS):
        recorded, cqs = _ledger_step(order)
        for index, level in enumerate(levels):
            expected = first_true((cqs > level).T)
            assert np.array_equal(standings.passed[index, account], expected)
        assert np.array_equal(standings.recorded[account], recorded)
    assert (standings.passed[0] < NEVER).all()
    assert (standings.passed[2] == NEVER).all()


def test_an_account_is_over_with_its_breadth_or_its_cap() -> None:
    """The n-th crossing in time, or the first class above the cap; never without that many."""
    passed = np.array([[[30, 10, NEVER, 20]], [[NEVER, 15, NEVER, 60]]])
    standings = Standings(passed, np.ones((1, 100), np.bool_))
    assert [int(standings.over(breadth)[0]) for breadth in (1, 2, 3)] == [10, 20, 30]
    assert int(standings.over(4)[0]) == int(standings.over(9)[0]) == NEVER
    assert int(standings.over(3, cap=1)[0]) == 15
    assert int(standings.over(1, level=1)[0]) == 15


def test_a_walk_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts do not know each other."""
    levels = np.stack([_level(0.5)])
    whole = WALK.standings(ORDERS, levels)
    policy = PolicyThresholds(0, _level(0.3), None, 2)
    enforced = WALK.enforced(ORDERS, policy, Scope.QUERY)
    monkeypatch.setattr("queen.method.walk.ledger_walk._COVER_BYTES", 2 * len(LABELS))
    parts = WALK.standings(ORDERS, levels)
    assert np.array_equal(parts.passed, whole.passed)
    assert np.array_equal(parts.recorded, whole.recorded)
    again = WALK.enforced(ORDERS, policy, Scope.QUERY)
    assert np.array_equal(again.is_reversed, enforced.is_reversed)


@pytest.mark.parametrize("breadth", [1, 3])
def test_scopes_widen_each_other(breadth: int) -> None:
    """Query within class within account; nothing is reversed before the account is over."""
    policy = PolicyThresholds(0, _level(0.3), None, breadth)
    scopes = (Scope.QUERY, Scope.CLASS, Scope.ACCOUNT)
    query, of_class, account = (WALK.enforced(ORDERS, policy, scope) for scope in scopes)
    over = WALK.over(ORDERS, policy)
    assert (over < NEVER).all()
    for enforced in (query, of_class, account):
        assert np.array_equal(enforced.over, over)
    after = np.arange(ORDERS.shape[1]) > over[:, None]
    assert np.array_equal(account.is_reversed, after)
    assert (query.is_reversed <= of_class.is_reversed).all()
    assert (of_class.is_reversed <= account.is_reversed).all()
    assert 0 < query.is_reversed.sum() < of_class.is_reversed.sum() < account.is_reversed.sum()


def test_a_cap_ends_what_a_breadth_allows() -> None:
    """An account of one class is never over by three, but by the cap of that class."""
    order = np.random.default_rng(2).choice(np.flatnonzero(LABELS == 1), (1, 300))
    policy = PolicyThresholds(0, _level(0.3), None, 3)
    assert WALK.enforced(order, policy, Scope.ACCOUNT).over.tolist() == [NEVER]
    capped = PolicyThresholds(0, policy.thresholds, _level(0.6), 3)
    over = int(WALK.enforced(order, capped, Scope.ACCOUNT).over[0])
    assert int(WALK.over(order, capped)[0]) == over
    _, cqs = _ledger_step(order[0])
    assert over == int(np.flatnonzero(cqs[:, 1] > _level(0.6)[1])[0])


def test_the_queries_within_a_level_do_not_pass_it() -> None:
    """The next query does; without such a query all are within."""
    order = np.flatnonzero(LABELS == 2)
    level = float(_level(0.5)[2])
    count = WALK.within(order, level)
    _, cqs = _ledger_step(order)
    assert cqs[count - 1, 2] <= level < cqs[count, 2]
    assert WALK.within(order, np.inf) == len(order)


METER = OffDistributionMeter(np.full(CLASSES, 1.2), 1.6, 0.2, 3.0)


@pytest.mark.parametrize("share", [0.3, np.inf])
def test_off_distribution_accounts_are_flagged_as_by_the_meter(share: float) -> None:
    """Query by query; an account that is over moves nothing, and a cell counts once."""
    policy = PolicyThresholds(0, _level(share), None, 2)
    flagged, over = WALK.flagged(ORDERS, METER, policy), WALK.over(ORDERS, policy)
    is_far = METER.is_far(WALK.samples.distances, LABELS)
    cells = tail_cells(GEOMETRY, EMBEDDINGS, LABELS)
    for account, order in enumerate(ORDERS):
        recorded, cqs = _ledger_step(order)
        level, first, known = 0.0, NEVER, set()
        for position, row in enumerate(order.tolist()):
            before = cqs[position - 1, LABELS[row]] if position else 0.0
            if position > over[account] or (is_far[row] and cells[row] in known):
                continue
            known |= {cells[row]} if is_far[row] else set()
            room = room_left(GEOMETRY, np.array([before]))
            (step,) = METER.steps(is_far[[row]], recorded[[position]], room)
            level = after(level, float(step))
            first = min(first, position) if level >= METER.limit else first
        assert flagged[account] == first
    assert (flagged < NEVER).any()


def test_tail_queries_that_are_sent_again_flag_nobody() -> None:
    """Two of them, fifty times."""
    again = np.tile(np.flatnonzero(METER.is_far(WALK.samples.distances, LABELS))[:2], (1, 50))
    meter = replace(METER, limit=6.0)
    policy = PolicyThresholds(0, np.full(CLASSES, np.inf), None, 1)
    assert WALK.flagged(again, meter, policy).tolist() == [NEVER]


def test_once_over_all_that_repeats_no_record_is_refused_and_not_recorded() -> None:
    """REPEATED refuses within what ACCOUNT reverses; the account is over at the same query."""
    policy = PolicyThresholds(0, _level(0.3), None, 2)
    of_account, repeated = (
        WALK.enforced(ORDERS, policy, scope) for scope in (Scope.ACCOUNT, Scope.REPEATED)
    )
    assert np.array_equal(repeated.over, of_account.over)
    assert (repeated.is_reversed <= of_account.is_reversed).all()
    assert 0 < repeated.is_reversed.sum() < of_account.is_reversed.sum()
    # Nothing is recorded any longer, so that the same query gets the same again.
    asked = ORDERS.shape[1]
    twice = np.concatenate([ORDERS, ORDERS], axis=1)
    again = WALK.enforced(twice, policy, Scope.REPEATED).is_reversed
    later = np.arange(asked) > repeated.over[:, None]
    assert np.array_equal(again[:, asked:][later], again[:, :asked][later])
