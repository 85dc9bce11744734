"""A store that decides by itself decides as the ledger step does, record by record."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from queen_sensitivity.ledger_store import (
    Append,
    Decided,
    LedgerKey,
    NovelAppend,
    RedisLedgerStore,
    Regressed,
    packed_end,
)

from queen.method.geometry import Geometry
from queen.method.ledger import assess_rows
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import (
    center_distances,
    cumulative_query_sensitivity,
    record_weight,
    single_query_sensitivity,
)
from tests.contract.ledger_stores import PATIENT
from tests.redis_servers import redis_binary, redis_server, valkey_binary


@pytest.fixture(scope="module", params=["redis", "valkey"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisLedgerStore]:
    """A store of each kind that has the capability."""
    binary = redis_binary() if request.param == "redis" else valkey_binary()
    with redis_server(tmp_path_factory.mktemp("redis"), binary=binary) as server:
        opened = RedisLedgerStore(server.url, PATIENT)
        yield opened
        opened.close()


def geometry_of(width: int) -> Geometry:
    """One region around the origin, r = 1/8: on a grid of eighths, distances are exactly r."""
    return Geometry(
        np.zeros((1, width), np.float32), np.ones(1, np.float32), coverage_fraction=1 / 8
    )


def points_of(rng: np.random.Generator, width: int, count: int, on_grid: bool) -> np.ndarray:
    """Points (N, E), half of them inside the region."""
    points = rng.normal(size=(count, width))
    points *= rng.uniform(0, 2, (count, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    return (np.round(points * 8) / 8 if on_grid else points).astype(np.float32)


def ask(
    geometry: Geometry, key: LedgerKey, known: np.ndarray, rows: np.ndarray, threshold: float
) -> NovelAppend:
    """What a caller that knows the records `known` asks for `rows`, all of them candidates."""
    labels = np.zeros(len(rows), int)
    sqs = single_query_sensitivity(geometry, center_distances(geometry, rows, labels), labels)
    share = geometry.coverage_fraction**geometry.embedding_width
    return NovelAppend(
        key=key,
        expected_version=len(known),
        candidates=rows,
        weights=record_weight(geometry, sqs),
        cqs=cumulative_query_sensitivity(geometry, known, 0),
        weight_range=(0.25 * share * (1 - 1e-9), share),
        coverage_radius=float(geometry.coverage_radius[0]),
        threshold=threshold,
        behind=packed_end(known),
    )


def inside_of(geometry: Geometry, rows: np.ndarray) -> np.ndarray:
    """The rows that are inside."""
    return rows[center_distances(geometry, rows, np.zeros(len(rows), int)) < 1.0]


def candidates_of(geometry: Geometry, known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows that are inside and novel."""
    rows = inside_of(geometry, rows)
    return rows[nearest_distances(known, rows) > geometry.coverage_radius[0]]


def decide(
    store: RedisLedgerStore,
    geometry: Geometry,
    key: LedgerKey,
    known: np.ndarray,
    rows: np.ndarray,
    threshold: float,
) -> int:
    """Ask until every row is decided; the number of calls."""
    calls = 0
    while len(rows := candidates_of(geometry, known, rows)):
        calls += 1
        answer = store.append_if_novel(ask(geometry, key, known, rows, threshold))
        assert isinstance(answer, Decided)
        done = len(answer.is_recorded)
        known = np.concatenate([known, answer.missing_tail, rows[:done][answer.is_recorded]])
        rows = rows[done:]
    return calls


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 4),
    stored=st.integers(0, 40),
    known_share=st.floats(0, 1),
    count=st.integers(1, 40),
    budget=st.integers(1, 60),
    on_grid=st.booleans(),
)
@example(seed=1, width=2, stored=40, known_share=0.0, count=40, budget=20, on_grid=True)
def test_it_decides_exactly_as_the_step(
    store: RedisLedgerStore,
    seed: int,
    width: int,
    stored: int,
    known_share: float,
    count: int,
    budget: int,
    on_grid: bool,
) -> None:
    """Whatever the caller had not seen yet, the list ends as the pure step on all of it says."""
    rng, geometry = np.random.default_rng(seed), geometry_of(width)
    key = LedgerKey(uuid4().hex, "g", 0)
    before = inside_of(geometry, points_of(rng, width, stored, on_grid))
    store.append_many([Append(key, 0, before)])
    rows = points_of(rng, width, count, on_grid)
    threshold = 0.4 * budget * geometry.coverage_fraction**width

    known = before[: round(known_share * len(before))]
    calls = decide(store, geometry, key, known, rows, threshold)

    step = assess_rows(
        geometry,
        rows,
        np.zeros(count, int),
        np.zeros(count, int),
        nearest_distances(before, rows),
        np.array([cumulative_query_sensitivity(geometry, before, 0)]),
        np.array([threshold]),
    )
    expected = np.concatenate([before, rows[step.recorded]])
    found = store.load(key.account_id, "g").get(0, np.empty((0, width), np.float32))
    assert found.tobytes() == expected.tobytes()
    if not on_grid:
        # The threshold is the only doubt that random numbers leave, and one answer ends it.
        assert calls <= 2


def test_a_distance_of_exactly_r_is_left_to_the_caller(store: RedisLedgerStore) -> None:
    """Covered or novel, to the last bit, is decided where the step is."""
    geometry, key = geometry_of(2), LedgerKey(uuid4().hex, "g", 0)
    rows = np.array([[0.5, 0], [0.125, 0], [0, 0.5]], np.float32)
    store.append_many([Append(key, 0, np.zeros((1, 2), np.float32))])
    answer = store.append_if_novel(ask(geometry, key, np.empty((0, 2), np.float32), rows, 9.0))
    assert isinstance(answer, Decided)
    assert answer.is_recorded.tolist() == [True]
    assert answer.missing_tail.tolist() == [[0, 0]]


def test_a_tail_around_the_threshold_is_left_to_the_caller(store: RedisLedgerStore) -> None:
    """Between the lightest and the heaviest sum of the tail's weights nothing is decided."""
    geometry, key = geometry_of(2), LedgerKey(uuid4().hex, "g", 0)
    empty, share = np.empty((0, 2), np.float32), (1 / 8) ** 2
    row = np.array([[0.5, 0.0]], np.float32)
    store.append_many([Append(key, 0, np.zeros((1, 2), np.float32))])
    results = []
    for threshold in (0.2 * share, 0.5 * share, 1.1 * share):
        answer = store.append_if_novel(ask(geometry, key, empty, row, threshold))
        assert isinstance(answer, Decided)
        results.append(answer.is_recorded.tolist())
    assert results == [[False], [], [True]]


def test_a_long_tail_is_sent_before_anything_is_decided(store: RedisLedgerStore) -> None:
    """A script does a bounded amount of work: all of Redis waits for it."""
    geometry, key = geometry_of(2), LedgerKey(uuid4().hex, "g", 0)
    many = np.full((60_000, 2), 3.0, np.float32)
    store.append_many([Append(key, 0, many)])
    rows = np.array([[0.0, 0.0], [0.5, 0.0]], np.float32)
    answer = store.append_if_novel(ask(geometry, key, many[:0], rows, 1e9))
    assert isinstance(answer, Decided)
    assert answer.is_recorded.tolist() == [True]
    store.append_many([Append(key, 60_001, many)])
    answer = store.append_if_novel(ask(geometry, key, many[:0], rows[1:], 1e9))
    assert isinstance(answer, Decided)
    assert len(answer.is_recorded) == 0
    assert len(answer.missing_tail) == 120_001


def test_a_list_that_was_cut_is_a_regression(store: RedisLedgerStore) -> None:
    """Nothing is decided on a list that lost records."""
    geometry, key = geometry_of(2), LedgerKey(uuid4().hex, "g", 0)
    rows = np.array([[0.0, 0.0]], np.float32)
    known = np.full((3, 2), 3.0, np.float32)
    store.append_many([Append(key, 0, known[:1])])
    assert store.append_if_novel(ask(geometry, key, known, rows, 9.0)) == Regressed(1)


def test_a_list_with_others_in_the_place_of_ours_is_a_regression(store: RedisLedgerStore) -> None:
    """It is as long as we expect, and no continuation of what we know."""
    geometry, key = geometry_of(2), LedgerKey(uuid4().hex, "g", 0)
    rows = np.array([[0.0, 0.0]], np.float32)
    known = np.array([[0.5, 0.0], [0.0, 0.5]], np.float32)
    store.append_many([Append(key, 0, known[::-1])])
    assert store.append_if_novel(ask(geometry, key, known, rows, 9.0)) == Regressed(2)
    assert len(store.load(key.account_id, "g")[0]) == 2
