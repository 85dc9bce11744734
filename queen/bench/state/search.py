"""Compares the engines of the neighbor search with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_sensitivity.index.base import IndexKind, open_index
from queen_sensitivity.index.cells import CELLS_WIDTH
from queen_sensitivity.ledgers.ledger_table import LedgerTable

from queen.bench.state.timing import cpu_times, p50
from queen.method.geometry import Geometry

_WIDTHS = {2: 0.02, 3: 0.06, 4: 0.12, 8: 0.4}
"""Embedding widths, each with a coverage fraction that has room for all records."""
_RECORDS = (1, 10, 100, 1000, 4000)
_BATCHES = ((1, 1), (64, 1), (64, 64), (1024, 64))
"""Rows of a batch, and the ledgers that they reach."""
_LEDGERS = 64


def count_cells() -> int:
    """Number of times that `measure_search` calls `on_step`."""
    return len(_WIDTHS) * len(_RECORDS)


def measure_search(rounds: int, on_step: Callable[[], None]) -> list[dict[str, Any]]:
    """Rows {width, records, rows, ledgers}, with microseconds a batch for each engine."""
    rng = np.random.default_rng(0)
    cells = []
    for width, fraction in _WIDTHS.items():
        center = np.full((1, width), 5.0, np.float32)
        geometry = Geometry(center, np.ones(1, np.float32), coverage_fraction=fraction)
        points = _spread(geometry, _RECORDS[-1], rng)
        for records in _RECORDS:
            cells += _cell(geometry, points, records, rounds // 20 + 2, rng)
            on_step()
    return cells


def _cell(
    geometry: Geometry,
    points: NDArray[np.float32],
    records: int,
    repeats: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    width = geometry.embedding_width
    kinds: list[IndexKind] = ["cells", "flat"]
    if width > CELLS_WIDTH:
        kinds.remove("cells")
    batches = []
    for rows, ledgers in _BATCHES:
        queries = [_spread_queries(points, rows, geometry, rng) for _ in range(repeats)]
        batches.append((rows, ledgers, queries))
    times = {kind: _times(kind, geometry, points, records, batches) for kind in kinds}
    return [
        {"width": width, "records": records, "rows": rows, "ledgers": ledgers}
        | {kind: round(1e6 * times[kind][index], 1) for kind in kinds}
        for index, (rows, ledgers, _) in enumerate(batches)
    ]


def _times(
    kind: IndexKind,
    geometry: Geometry,
    points: NDArray[np.float32],
    records: int,
    batches: list[tuple[int, int, list[NDArray[np.float32]]]],
) -> list[float]:
    table = LedgerTable(geometry.embedding_width)
    search = open_index(kind, geometry, table)
    numbers = np.array([table.open(0) for _ in range(_LEDGERS)])
    counts = np.full(_LEDGERS, records)
    picks = np.arange(records) + 61 * np.arange(_LEDGERS)[:, None]
    stored = points[picks.ravel() % len(points)]
    table.extend(numbers, counts, stored, np.ones(len(stored)))
    search.add(numbers, counts, stored)
    medians = []
    for rows, ledgers, queries in batches:
        owners, labels = numbers[np.arange(rows) % ledgers], np.zeros(rows, np.int64)

        def ask(
            embeddings: NDArray[np.float32],
            owners: NDArray[np.int64] = owners,
            labels: NDArray[np.int64] = labels,
        ) -> None:
            search.is_novel(owners, embeddings, labels)

        medians.append(p50(cpu_times(ask, queries)))
    return medians


def _spread(geometry: Geometry, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Up to `count` points of a region that are more than r apart, as records are."""
    radius = float(geometry.coverage_radius[0])
    kept = np.empty((count, geometry.embedding_width))
    held = 0
    for point in _ball(4 * count, geometry.embedding_width, rng):
        if held == count:
            break
        offset = kept[:held] - point
        if not held or np.einsum("me,me->m", offset, offset).min() > radius**2:
            kept[held] = point
            held += 1
    return (kept[:held] + geometry.cluster_centers).astype(np.float32)


def _ball(count: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    direction = rng.normal(size=(count, width))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    ball: NDArray[np.float64] = direction * rng.random((count, 1)) ** (1.0 / width)
    return ball


def _spread_queries(
    points: NDArray[np.float32], rows: int, geometry: Geometry, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Half beside a record of some account, half anywhere in the region."""
    anywhere = geometry.cluster_centers + _ball(rows, geometry.embedding_width, rng)
    beside = points[rng.integers(0, len(points), rows)] + 0.1 * geometry.coverage_radius[0]
    is_beside = (np.arange(rows) % 2 == 0)[:, None]
    queries: NDArray[np.float32] = np.where(is_beside, beside, anywhere).astype(np.float32)
    return queries
