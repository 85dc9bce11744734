"""Every engine of the neighbor search against the brute-force oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queen_sensitivity.index.base import IndexKind
from queen_sensitivity.index.cells import CELLS_WIDTH
from queen_sensitivity.ledgers.ledger_table import NO_LEDGER

from tests.unit.sensitivity.index.indexed import (
    HAS_GPU,
    Ledgers,
    geometry_of,
    move_to_boundary,
    points_in,
)

GPU = pytest.param("gpu", marks=[pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="no GPU")])
ENGINES = ["cells", "flat", GPU]
every_engine = pytest.mark.parametrize("kind", ENGINES)


@every_engine
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 8),
    fraction=st.sampled_from([1e-4, 0.001, 0.02, 0.3, 2.0]),
    scale=st.sampled_from([1e-18, 1e-3, 1.0, 1e6, 1e17]),
    shift=st.sampled_from([0.0, 30.0, 3000.0]),
)
def test_decisions_are_the_oracles(
    kind: IndexKind, seed: int, width: int, fraction: float, scale: float, shift: float
) -> None:
    """Novel or covered: never once otherwise than in float64, however near the boundary."""
    rng = np.random.default_rng(seed)
    width = min(width, CELLS_WIDTH) if kind == "cells" else width
    geometry = geometry_of(width, fraction, scale=scale, shift=shift)
    ledgers = Ledgers(kind, geometry)
    numbers = np.array([ledgers.open(label) for label in range(3)])
    counts = rng.integers(0, 40, 3)
    stored = [points_in(geometry, np.full(count, c), rng) for c, count in enumerate(counts)]
    ledgers.add(dict(zip(numbers.tolist(), stored, strict=True)))
    labels = rng.integers(0, 3, 50)
    queries = points_in(geometry, labels, rng)
    move_to_boundary(geometry, queries, labels, stored, rng)
    ledgers.check(numbers[labels], queries, labels)


@every_engine
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 3), owners=st.integers(1, 40))
def test_whatever_happens_to_ledgers_no_row_sees_another_ledger(
    kind: IndexKind, seed: int, width: int, owners: int
) -> None:
    """Ledgers grow, are erased and their numbers given out again, between searches."""
    rng = np.random.default_rng(seed)
    geometry = geometry_of(width, 0.1)
    ledgers = Ledgers(kind, geometry)
    # All ledgers get their records out of one pool, so the neighbors of all ledgers lie near.
    pool = {label: points_in(geometry, np.full(40, label), rng) for label in range(3)}
    live: list[int] = []
    for _ in range(6):
        for number in [one for one in live if rng.random() < 0.3]:
            ledgers.close(number)
            live.remove(number)
        live += [ledgers.open(int(rng.integers(3))) for _ in range(owners - len(live))]
        grown = {}
        for number in live:
            # Several of a kind among them, as no ledger has but a damaged store may.
            picks = rng.integers(0, 40, int(rng.integers(0, 12)) * (rng.random() < 0.7))
            grown[number] = pool[int(ledgers.table.label[number])][picks]
        ledgers.add(grown)
        numbers = rng.choice([*live, NO_LEDGER], 64)
        labels = np.where(numbers == NO_LEDGER, 0, ledgers.table.label[numbers])
        queries = np.array([pool[label][rng.integers(40)] for label in labels.tolist()])
        ledgers.check(numbers, queries, labels)
    assert all(
        np.array_equal(ledgers.table.records(number), ledgers.given[number]) for number in live
    )


@every_engine
def test_a_full_region_is_decided_as_exactly_as_an_empty_one(kind: IndexKind) -> None:
    """Thousands of records of one ledger, and as many copies of one point."""
    rng = np.random.default_rng(1)
    geometry = geometry_of(2, 0.01, shift=50.0, classes=1)
    ledgers = Ledgers(kind, geometry)
    number = ledgers.open(0)
    zeros = np.zeros(3000, int)
    ledgers.add({number: points_in(geometry, zeros, rng)})
    ledgers.add({number: np.repeat(points_in(geometry, zeros[:1], rng), 500, axis=0)})
    numbers = np.full(3000, number)
    found = ledgers.check(numbers, points_in(geometry, zeros, rng), zeros)
    assert 100 < found.sum() < 2900


@every_engine
def test_each_row_alone_is_decided_as_in_a_batch(kind: IndexKind) -> None:
    """The number beside a row is that of its own ledger whatever the batch is."""
    rng = np.random.default_rng(4)
    geometry = geometry_of(2, 0.05, classes=1)
    ledgers = Ledgers(kind, geometry)
    numbers = np.array([ledgers.open(0) for _ in range(9)])
    ledgers.add({one: points_in(geometry, np.zeros(30, int), rng) for one in numbers.tolist()})
    rows = rng.choice(numbers, 64)
    labels = np.zeros(64, int)
    queries = points_in(geometry, labels, rng)
    together = ledgers.check(rows, queries, labels)
    alone = [ledgers.check(rows[[row]], queries[[row]], labels[:1])[0] for row in range(64)]
    assert np.array_equal(together, np.array(alone))


@every_engine
@pytest.mark.parametrize("far", [1e20, 3e38])
def test_a_query_that_overflows_float32_is_decided_exactly(kind: IndexKind, far: float) -> None:
    """Infinity inside an index does not become a verdict."""
    geometry = geometry_of(2, 0.02, scale=1e-3, classes=1)
    ledgers = Ledgers(kind, geometry)
    number = ledgers.open(0)
    ledgers.add({number: geometry.cluster_centers[:1].copy()})
    query = np.full((1, 2), far, np.float32)
    ledgers.check(np.array([number]), query, np.zeros(1, int))
    # A record as far away is found from beside it.
    ledgers.add({number: query})
    assert not ledgers.check(np.array([number]), query, np.zeros(1, int)).any()
