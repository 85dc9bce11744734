"""Observed traffic made by hand, and logs of observed accounts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle
from queen.planning.traffic import Charged, ObservedTraffic
from tests.unit.replay.logs import spread
from tests.unit.replay.written import WrittenLog

Lift = tuple[int, int, float, float]
"""Account, class, and cqs before and after a query."""


def charged(
    lifts: Sequence[Lift], rows: Sequence[int], lives: Sequence[int], far: Sequence[int] = ()
) -> Charged:
    """Ledgers of the owners that the lifts name; owner `life` of `lives` is that of each."""
    owner, labels, before, after = zip(*lifts, strict=True) if lifts else ((), (), (), ())
    life = np.array(owner, np.int64)
    return Charged(
        np.array(rows, np.int64),
        life,
        np.array(labels, np.int64),
        np.array(before, float),
        np.array(after, float),
        np.isin(np.arange(len(lifts)), far),
        np.array(lives, np.int64),
    )


def traffic_of(
    lifts: Sequence[Lift],
    *,
    groups: Charged | None = None,
    far: Sequence[int] = (),
    exempt: Sequence[int] = (),
    starts: Sequence[int] = (),
) -> ObservedTraffic:
    """A query for each lift inside its region, one a minute; `far` are queries, `exempt` accounts.

    Each is a request of its own, unless `starts` says otherwise.
    """
    accounts = np.array([lift[0] for lift in lifts])
    rows = np.arange(len(lifts))
    return ObservedTraffic(
        accounts=accounts,
        times=np.datetime64("2026-01-01T23:00") + rows.astype("m8[m]"),
        is_exempt=np.isin(accounts, exempt),
        is_inside=np.ones(len(lifts), np.bool_),
        starts=np.array(starts) if starts else rows,
        own=charged(lifts, rows.tolist(), range(int(accounts.max()) + 1), far),
        grouped=charged([], [], []) if groups is None else groups,
    )


OBSERVED = [
    AccountPolicy("alice", is_observed=True),
    AccountPolicy("bob", group="acme", is_observed=True),
    AccountPolicy("carol"),
]


def observed_log(bundle: Bundle) -> WrittenLog:
    """A log in which two observed accounts go far past their budget of 8, and a third is served."""
    log = WrittenLog(bundle, budget=8)
    for cut in range(0, 60, 5):
        rows = [spread(owner, owner + 1, 60)[cut : cut + 5] for owner in range(3)]
        log.ask(OBSERVED, [row for part in rows for row in part])
    return log
