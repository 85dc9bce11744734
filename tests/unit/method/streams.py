"""Streams of queries of many accounts, and two ways to run them through the ledger step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from queen.method.geometry import Geometry
from queen.method.ledger import LedgerLevels, LedgerRows, Verdict, assess_rows
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import cumulative_query_sensitivity
from tests.unit.method.regions import discs

# r = 1/4 and embeddings on a grid of 1/8: distances of exactly r and of exactly rs occur.
GEOMETRY = discs(2, 2, coverage_fraction=0.25)
GRID = 0.125

Key = tuple[int, int]
Row = tuple[int, int, int, int]
"""Account, predicted class, and the place on the grid around the class's center."""

rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-9, 9), st.integers(-9, 9)),
    min_size=1,
    max_size=60,
)
thresholds = st.sampled_from([0.0, 0.0321, 0.1234, 0.4567, 9.9])


def keys(stream: Sequence[Row]) -> list[Key]:
    """The ledger of each row."""
    return [(account, label) for account, label, _, _ in stream]


def embeddings(stream: Sequence[Row]) -> NDArray[np.float32]:
    """The embeddings (B, E) of a stream."""
    places = np.array([row[2:] for row in stream], np.float32).reshape(len(stream), 2)
    return GEOMETRY.cluster_centers[[row[1] for row in stream]] + places * np.float32(GRID)


@dataclass
class Outcome:
    """The outcome of a stream, row by row, and the ledgers that it left."""

    verdicts: list[int] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    records: dict[Key, NDArray[np.float32]] = field(default_factory=dict)


def splits(stream: Sequence[Row], sizes: Iterable[int]) -> Iterator[Sequence[Row]]:
    """The stream in batches of the given sizes, the rest in one."""
    start = 0
    for size in sizes:
        yield stream[start : start + size]
        start += size
    yield stream[start:]


def run(
    batches: Iterable[Sequence[Row]],
    threshold: float,
    records: dict[Key, NDArray[np.float32]] | None = None,
    geometry: Geometry = GEOMETRY,
) -> Outcome:
    """Batch after batch through `assess_rows`, with the brute-force oracle for neighbours."""
    outcome = Outcome(records=dict(records or {}))
    for batch in batches:
        if batch:
            _run_batch(geometry, batch, threshold, outcome)
    return outcome


def _run_batch(
    geometry: Geometry, batch: Sequence[Row], threshold: float, outcome: Outcome
) -> None:
    points, owners = embeddings(batch), keys(batch)
    ledgers = sorted(set(owners))
    empty = np.empty((0, 2), np.float32)
    held = [outcome.records.get(key, empty) for key in ledgers]
    index = np.array([ledgers.index(key) for key in owners])
    pairs = zip(points, index, strict=True)
    assessment = assess_rows(
        geometry,
        LedgerRows(points, np.array([label for _, label in owners]), index),
        np.array([nearest_distances(held[i], point[None])[0] for point, i in pairs]),
        LedgerLevels(
            np.array([_cqs(geometry, held[i], ledgers[i][1]) for i in range(len(ledgers))]),
            np.full(len(ledgers), threshold),
        ),
    )
    for row in assessment.recorded:
        known = outcome.records.get(owners[row], empty)
        outcome.records[owners[row]] = np.vstack([known, points[row : row + 1]])
    outcome.verdicts += assessment.verdicts.tolist()
    outcome.before += assessment.cqs_before.tolist()
    outcome.after += assessment.cqs_after.tolist()


def _cqs(geometry: Geometry, records: NDArray[np.float32], label: int) -> float:
    return cumulative_query_sensitivity(geometry, records, label)


def run_literally(stream: Sequence[Row], threshold: float) -> Outcome:
    """The definition, row after row, in plain Python: the truth for `assess_rows`."""
    outcome, ledgers = Outcome(), dict[Key, list[tuple[float, float]]]()
    total: dict[Key, float] = {}
    for key, (x, y) in zip(keys(stream), embeddings(stream).tolist(), strict=True):
        records = ledgers.setdefault(key, [])
        cqs = total.setdefault(key, 0.0)
        distance = math.dist((x, y), GEOMETRY.cluster_centers[key[1]].tolist())
        novel = all(math.dist((x, y), record) > 0.25 for record in records)
        verdict = Verdict.PRESERVE
        if distance < 1.0 and novel:
            verdict = Verdict.REVERSE if cqs > threshold else Verdict.RECORD
        if verdict == Verdict.RECORD:
            records.append((x, y))
            total[key] += (0.5 * math.erfc(distance - 1.0)) ** 2 * 0.25**2
        outcome.verdicts.append(int(verdict))
        outcome.before.append(cqs)
        outcome.after.append(total[key])
    held: Any = {key: np.array(kept, np.float32) for key, kept in ledgers.items() if kept}
    outcome.records = held
    return outcome
