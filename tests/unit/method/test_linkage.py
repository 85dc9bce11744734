from __future__ import annotations

import numpy as np

from queen.method.geometry import Geometry
from queen.method.linkage import LIKELY_LINK, Overlap, neighbor_counts, overlap

GEOMETRY = Geometry(
    np.array([[0, 0], [9, 9]], np.float32), np.ones(2, np.float32), coverage_fraction=0.02
)


def _account(seed: int, count: int = 60) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        label: (center + 0.5 * rng.normal(size=(count, 2))).astype(np.float32)
        for label, center in enumerate(GEOMETRY.cluster_centers)
    }


POPULATION = _account(99, count=4000)


def test_honest_accounts_overlap_as_chance_says() -> None:
    """Over many independent pairs the score has mean 0 and a spread of about 1."""
    scores = [
        overlap(GEOMETRY, _account(2 * n), _account(2 * n + 1), POPULATION).score for n in range(60)
    ]
    assert abs(np.mean(scores)) < 0.5
    assert 0.5 < np.std(scores) < 1.6
    assert max(scores) < LIKELY_LINK


def test_accounts_that_share_a_fifth_of_their_samples_are_linked() -> None:
    """What two accounts both asked lies within r of each other, far beyond chance."""
    one, other = _account(1), _account(2)
    for label in other:
        other[label][:12] = one[label][:12] + np.float32(0.001)
    assert overlap(GEOMETRY, one, other, POPULATION).score > LIKELY_LINK


def test_classes_without_records_on_both_sides_say_nothing() -> None:
    """No common class, no overlap, and a score of 0 rather than a division by zero."""
    one, other = _account(1), _account(2)
    del one[0], other[1]
    found = overlap(GEOMETRY, one, other, POPULATION)
    assert found == Overlap(0, 0.0, 0.0)
    assert found.score == 0.0


def test_neighbor_counts_are_those_of_a_naive_loop() -> None:
    """Every pair of a small set, by hand."""
    rng = np.random.default_rng(0)
    crowd, records = rng.normal(size=(50, 2)), rng.normal(size=(7, 2))
    naive = [sum(np.linalg.norm(point - record) <= 0.4 for point in crowd) for record in records]
    assert neighbor_counts(crowd, records, 0.4).tolist() == naive
