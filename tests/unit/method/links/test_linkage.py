from __future__ import annotations

import numpy as np
import pytest

from queen.method.geometry import Geometry
from queen.method.links.linkage import (
    FALSE_LINKS,
    LEAST_SHARED,
    LIKELY_LINK,
    Overlap,
    least_surprise,
    linked_groups,
    neighbor_counts,
    overlap,
    surprise,
)

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
    """Samples that two accounts both sent lie within r of each other, far beyond chance."""
    ledgers, others = _account(1), _account(2)
    for label in others:
        others[label][:12] = ledgers[label][:12] + np.float32(0.001)
    assert overlap(GEOMETRY, ledgers, others, POPULATION).score > LIKELY_LINK


def test_classes_without_records_on_both_sides_say_nothing() -> None:
    """No common class, no overlap, and a score of 0 rather than a division by zero."""
    ledgers, others = _account(1), _account(2)
    del ledgers[0], others[1]
    empty = overlap(GEOMETRY, ledgers, others, POPULATION)
    assert empty == Overlap(0, 0.0, 0.0)
    assert empty.score == 0.0


def test_neighbor_counts_are_those_of_a_naive_loop() -> None:
    """Every pair of a small set, by hand."""
    rng = np.random.default_rng(0)
    crowd, records = rng.normal(size=(50, 2)), rng.normal(size=(7, 2))
    naive = [sum(np.linalg.norm(point - record) <= 0.4 for point in crowd) for record in records]
    assert neighbor_counts(crowd, records, 0.4).tolist() == naive


def test_few_records_in_common_are_no_link_among_many_pairs() -> None:
    """Two rare records reach the score where hardly any is expected."""
    rare = Overlap(2, 0.05, 0.05)
    assert rare.score > 6
    assert not rare.is_likely(1)
    small = Overlap(LEAST_SHARED, 0.1, 0.1)
    assert small.is_likely(1)
    assert not small.is_likely(10**8)


def test_surprise_bounds_the_chance_of_a_sum_of_events() -> None:
    """Simulated: so much surprise is met no more often than it says."""
    rng = np.random.default_rng(0)
    chances = rng.uniform(0, 0.2, 40)
    sums = (rng.uniform(size=(200_000, 40)) < chances).sum(axis=1)
    for covered in range(5, 15):
        met = (sums >= covered).mean()
        assert met <= np.exp(-surprise(covered, float(chances.sum()))) + 1e-3
    assert surprise(3, 5.0) == surprise(3, 0.0) == 0.0
    assert np.exp(-least_surprise(66)) * 66 == pytest.approx(FALSE_LINKS)


def test_pairs_that_meet_are_one_group() -> None:
    """A chain joins its ends; groups are in order of their ids."""
    pairs = [("d", "b"), ("x", "y"), ("b", "a")]
    assert linked_groups(pairs) == [["a", "b", "d"], ["x", "y"]]
    assert linked_groups([]) == []
