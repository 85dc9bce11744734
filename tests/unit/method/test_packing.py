from __future__ import annotations

import numpy as np
import pytest

from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances
from queen.method.packing import RegionProbes, novel_rows, novel_rows_by_grid

GEOMETRY = Geometry(
    np.array([[0, 0], [9, 9]], np.float32), np.array([1, 2], np.float32), coverage_fraction=0.1
)
LABEL = 1
RADIUS = float(GEOMETRY.coverage_radius[LABEL])


def points(seed: int, count: int, reach: float = 0.9) -> np.ndarray:
    """Points (N, 2) of class LABEL, spread over a disc of `reach` sensitive radii."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 2 * np.pi, count)
    lengths = reach * np.sqrt(rng.uniform(size=count)) * GEOMETRY.sensitive_radius[LABEL]
    offset = np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths[:, None]
    return (GEOMETRY.cluster_centers[LABEL] + offset).astype(np.float32)


def test_novel_rows_are_farther_than_r_from_all_before_them() -> None:
    """The known records stay in front, and the union is a packing."""
    known = points(0, 20)
    known = known[novel_rows(GEOMETRY, LABEL, known[:0], known)]
    records = points(1, 100)
    rows = novel_rows(GEOMETRY, LABEL, known, records)
    assert 0 < len(rows) < len(records)
    union = np.concatenate([known, records[rows]])
    for row in range(1, len(union)):
        assert nearest_distances(union[:row], union[row : row + 1])[0] > RADIUS
    covered = np.delete(records, rows, axis=0)
    assert (nearest_distances(union, covered) <= RADIUS).all()


def test_records_outside_of_the_region_are_kept() -> None:
    """They were charged where they come from, by a service that charges anywhere."""
    outside = points(2, 10) + np.float32(5)
    rows = novel_rows(GEOMETRY, LABEL, outside[:0], outside)
    assert len(rows)
    assert np.array_equal(novel_rows_by_grid(outside[:0], outside, RADIUS), rows)


def test_a_record_beside_itself_is_covered() -> None:
    """A second import of the same records adds none."""
    records = points(3, 50)
    kept = records[novel_rows(GEOMETRY, LABEL, records[:0], records)]
    assert len(novel_rows(GEOMETRY, LABEL, kept, records)) == 0


@pytest.mark.parametrize("known_count", [0, 30])
def test_the_grid_keeps_the_rows_that_the_step_keeps(known_count: int) -> None:
    """Inside of the region both are one function, with and without known records."""
    known, records = points(4, known_count), points(5, 300)
    expected = novel_rows(GEOMETRY, LABEL, known, records)
    assert np.array_equal(novel_rows_by_grid(known, records, RADIUS), expected)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_one_record_in_the_middle_covers_its_share_of_a_region(width: int) -> None:
    """It covers (r / rs)^E of it; many records cover all, and none covers nothing."""
    centers = np.array([np.zeros(width), np.full(width, 9.0)], np.float32)
    geometry = Geometry(centers, np.array([1, 2], np.float32), coverage_fraction=0.5)
    probes = RegionProbes(geometry)
    assert probes.covered(1, centers[:0]).mean() == 0
    assert probes.covered(1, centers[1:]).mean() == pytest.approx(0.5**width, abs=0.02)
    many = np.random.default_rng(0).uniform(-1, 1, size=(2000, width)).astype(np.float32)
    assert probes.covered(0, many).mean() == 1
