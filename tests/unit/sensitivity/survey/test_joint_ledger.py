"""The ledger that all accounts would have if they were one."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.survey.joint_ledger import MOST_RECORDS, JointLedger

from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances
from queen.method.packing import RegionProbes, novel_rows
from queen.method.sensitivity import cumulative_query_sensitivity
from tests.unit.sensitivity.regions import disc, small_geometry

GEOMETRY = small_geometry()


def joint_ledger_of(geometry: Geometry, most_records: int = MOST_RECORDS) -> JointLedger:
    """An empty joint ledger."""
    return JointLedger(geometry, RegionProbes(geometry), most_records)


def test_it_is_the_ledger_of_one_account_that_sent_all_queries() -> None:
    """Its records, and so its cqs, are those that the ledger step without a budget keeps."""
    pieces = [disc(GEOMETRY, 1, seed, 40) for seed in range(12)]
    joint = joint_ledger_of(GEOMETRY)
    joint.add(1, pieces[:5])
    joint.add(1, pieces[5:])
    asked = np.concatenate(pieces)
    kept = asked[novel_rows(GEOMETRY, 1, asked[:0], asked)]
    assert 20 < len(kept) < len(asked)
    assert np.array_equal(joint.records(1), kept)
    assert joint.cqs() == {1: cumulative_query_sensitivity(GEOMETRY, kept, 1)}


def test_the_region_covered_is_that_of_the_fullest_class() -> None:
    """An empty ledger covers nothing; many records cover all of a region."""
    centers = np.array([[0, 0], [9, 9]], np.float32)
    geometry = Geometry(centers, np.array([1, 2], np.float32), coverage_fraction=0.5)
    joint = joint_ledger_of(geometry)
    assert joint.region_covered == 0
    joint.add(1, [centers[1:]])
    assert joint.region_covered == pytest.approx(0.25, abs=0.02)
    rng = np.random.default_rng(0)
    joint.add(0, [rng.uniform(-1, 1, size=(2000, 2)).astype(np.float32)])
    assert joint.region_covered == 1


def test_memory_is_bounded_and_classes_that_are_cut_are_counted() -> None:
    """The records of a class end somewhere; the share that is covered does not."""
    pieces = [disc(GEOMETRY, 0, seed, 50) for seed in range(8)]
    whole, cut = joint_ledger_of(GEOMETRY), joint_ledger_of(GEOMETRY, most_records=30)
    for joint in (whole, cut):
        joint.add(0, pieces)
        joint.add(2, [disc(GEOMETRY, 2, 1, 5)])
    assert (whole.classes_cut, cut.classes_cut) == (0, 1)
    assert len(cut.records(0)) == 30
    assert np.array_equal(cut.records(0), whole.records(0)[:30])
    assert cut.cqs()[0] < whole.cqs()[0]
    assert cut.region_covered == whole.region_covered


def test_records_are_farther_than_r_apart() -> None:
    """However many accounts the records come from, one after the other."""
    joint = joint_ledger_of(GEOMETRY)
    for seed in range(30):
        joint.add(2, [disc(GEOMETRY, 2, seed, 20)])
    kept = joint.records(2)
    for row in range(1, len(kept)):
        nearest = nearest_distances(kept[:row], kept[row : row + 1])[0]
        assert nearest > GEOMETRY.coverage_radius[2]
