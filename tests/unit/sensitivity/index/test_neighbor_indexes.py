"""Every engine of the neighbour search against the brute-force oracle."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queen_sensitivity.index.base import AUTO_CELLS_WIDTH, IndexKind, open_index
from queen_sensitivity.index.cells import CELLS_WIDTH, CellIndex
from queen_sensitivity.index.faiss_flat import FlatIndex
from queen_sensitivity.index.faiss_gpu import GpuIndex
from queen_sensitivity.ledgers.ledger_table import NO_LEDGER, LedgerTable
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex

from queen.errors import ConfigError
from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances

HAS_GPU = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
GPU = pytest.param("gpu", marks=[pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="no GPU")])
ENGINES = ["cells", "flat", GPU]
every_engine = pytest.mark.parametrize("kind", ENGINES)


def geometry_of(
    width: int, fraction: float, *, scale: float = 1.0, shift: float = 0.0, classes: int = 3
) -> Geometry:
    """Regions of radius `scale` and more, `shift` radii away from the origin."""
    rng = np.random.default_rng(width)
    centers = scale * (shift + rng.normal(size=(classes, width)))
    radius = scale * np.linspace(1.0, 2.0, classes)
    return Geometry(
        centers.astype(np.float32), radius.astype(np.float32), coverage_fraction=fraction
    )


def points_in(
    geometry: Geometry, labels: np.ndarray, rng: np.random.Generator, spread: float = 1.0
) -> np.ndarray:
    """A point of each label's region, uniform in direction and distance."""
    direction = rng.normal(size=(len(labels), geometry.embedding_width))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    length = spread * rng.uniform(size=len(labels)) * geometry.sensitive_radius[labels]
    return (geometry.cluster_centers[labels] + direction * length[:, None]).astype(np.float32)


class Ledgers:
    """A table with its search, and what both were given, ledger by ledger."""

    def __init__(self, kind: IndexKind, geometry: Geometry) -> None:
        self.geometry = geometry
        self.table = LedgerTable(geometry.embedding_width)
        self.search: NeighborIndex = open_index(kind, geometry, self.table)
        empty = np.zeros((0, geometry.embedding_width), np.float32)
        self.given: dict[int, np.ndarray] = {NO_LEDGER: empty}

    def open(self, label: int) -> int:
        """A new ledger of a class."""
        number = self.table.open(label)
        self.given[number] = self.given[NO_LEDGER]
        return number

    def add(self, lists: dict[int, np.ndarray]) -> None:
        """Append records to several ledgers at once."""
        lists = {number: records for number, records in lists.items() if len(records)}
        if not lists:
            return
        numbers, counts = np.array(list(lists)), np.array([len(one) for one in lists.values()])
        records = np.concatenate(list(lists.values()))
        self.table.extend(numbers, counts, records, np.ones(len(records)))
        self.search.add(numbers, counts, records)
        for number, more in lists.items():
            self.given[number] = np.concatenate([self.given[number], more])

    def close(self, number: int) -> None:
        """Erase a ledger."""
        self.search.drop([number])
        self.table.close([number])
        del self.given[number]

    def check(self, numbers: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Search, and hold each row against the oracle over its own ledger's records alone."""
        found = self.search.is_novel(numbers, queries, labels)
        exact = np.array(
            [
                nearest_distances(self.given[int(number)], query[None])[0]
                for number, query in zip(numbers, queries, strict=True)
            ]
        )
        assert np.array_equal(found, exact > self.geometry.coverage_radius[labels])
        return found


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
    _move_to_boundary(geometry, queries, labels, stored, rng)
    ledgers.check(numbers[labels], queries, labels)


def _move_to_boundary(
    geometry: Geometry,
    queries: np.ndarray,
    labels: np.ndarray,
    stored: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Put half of the queries at r from a record, within a few units of rounding."""
    for row in range(0, len(queries), 2):
        records = stored[labels[row]]
        if len(records):
            direction = rng.normal(size=records.shape[1])
            direction /= np.linalg.norm(direction)
            length = geometry.coverage_radius[labels[row]] * (1 + rng.integers(-4, 5) * 1e-7)
            queries[row] = records[rng.integers(len(records))] + direction * length


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
    # All ledgers get their records out of one pool, so everybody's neighbours lie near.
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


def test_float32_alone_would_decide_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle's test has teeth: without the exact step some rows fall on the other side."""
    rng = np.random.default_rng(3)
    geometry = geometry_of(2, 0.02, classes=1)
    ledgers = Ledgers("flat", geometry)
    number = ledgers.open(0)
    zeros = np.zeros(400, int)
    records = points_in(geometry, zeros, rng)
    ledgers.add({number: records})
    queries = points_in(geometry, zeros, rng)
    _move_to_boundary(geometry, queries, zeros, [records], rng)
    ledgers.check(np.full(400, number), queries, zeros)
    monkeypatch.setattr(FlatIndex, "_borderline", lambda *_: np.zeros(0, int))
    found = ledgers.search.is_novel(np.full(400, number), queries, zeros)
    exact = nearest_distances(records, queries) > geometry.coverage_radius[0]
    assert (found != exact).sum() > 5


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


def test_auto_takes_the_engine_for_the_width() -> None:
    """Cells where they are few, FAISS beyond; a name is that engine."""
    for kind, width, engine in (
        ("auto", 2, CellIndex),
        ("auto", AUTO_CELLS_WIDTH, CellIndex),
        ("auto", AUTO_CELLS_WIDTH + 1, FlatIndex),
        ("cells", CELLS_WIDTH, CellIndex),
        ("flat", 2, FlatIndex),
    ):
        geometry = geometry_of(width, 0.1)
        assert type(open_index(kind, geometry, LedgerTable(width))) is engine


def test_cells_of_too_many_axes_are_refused() -> None:
    """The message says what fits and what to use instead."""
    width = CELLS_WIDTH + 1
    with pytest.raises(ConfigError, match=f"at most {CELLS_WIDTH} axes, got {width}; use auto"):
        open_index("cells", geometry_of(width, 0.1), LedgerTable(width))


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    """A setting that cannot be had is an error at the start, not a slower search."""
    with pytest.raises(ConfigError, match="search gpu: expected"):
        open_index("gpu", geometry_of(2, 0.1), LedgerTable(2))


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no GPU")
def test_a_gpu_is_used_where_there_is_one() -> None:
    """The ledgers' indexes lie on the device."""
    ledgers = Ledgers("gpu", geometry_of(2, 0.1))
    assert isinstance(ledgers.search, GpuIndex)
    number = ledgers.open(0)
    ledgers.add({number: ledgers.geometry.cluster_centers[:1].copy()})
    assert isinstance(ledgers.search._indexes[number], faiss.GpuIndexFlatL2)
