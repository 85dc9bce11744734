"""The ledger over everybody."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.admin.transfer import novel_rows
from queen_sensitivity.survey.everybody import EverybodyLedger

from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import cumulative_query_sensitivity
from tests.unit.sensitivity.regions import disc, small_geometry

GEOMETRY = small_geometry()


def test_it_is_the_ledger_of_one_account_that_asked_it_all() -> None:
    """The records, and so the cqs, that the ledger step without a budget keeps."""
    pieces = [disc(GEOMETRY, 1, seed, 40) for seed in range(12)]
    everybody = EverybodyLedger(GEOMETRY)
    everybody.add(1, pieces[:5])
    everybody.add(1, pieces[5:])
    asked = np.concatenate(pieces)
    kept = asked[novel_rows(GEOMETRY, 1, asked[:0], asked)]
    assert 20 < len(kept) < len(asked)
    assert np.array_equal(everybody.records(1), kept)
    assert everybody.cqs() == {1: cumulative_query_sensitivity(GEOMETRY, kept, 1)}


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_share_of_a_region_that_is_covered(width: int) -> None:
    """One record in the middle covers (r / rs)^E of it; many cover all; none none."""
    centers = np.array([np.zeros(width), np.full(width, 9.0)], np.float32)
    geometry = Geometry(centers, np.array([1, 2], np.float32), coverage_fraction=0.5)
    everybody = EverybodyLedger(geometry)
    assert everybody.region_covered == 0
    everybody.add(1, [centers[1:]])
    assert everybody.region_covered == pytest.approx(0.5**width, abs=0.02)
    rng = np.random.default_rng(0)
    everybody.add(0, [rng.uniform(-1, 1, size=(2000, width)).astype(np.float32)])
    assert everybody.region_covered == 1


def test_memory_is_bounded_and_what_is_cut_is_said() -> None:
    """The records of a class end somewhere; the share that is covered does not."""
    pieces = [disc(GEOMETRY, 0, seed, 50) for seed in range(8)]
    whole, cut = EverybodyLedger(GEOMETRY), EverybodyLedger(GEOMETRY, most_records=30)
    for each in (whole, cut):
        each.add(0, pieces)
        each.add(2, [disc(GEOMETRY, 2, 1, 5)])
    assert (whole.classes_cut, cut.classes_cut) == (0, 1)
    assert len(cut.records(0)) == 30
    assert np.array_equal(cut.records(0), whole.records(0)[:30])
    assert cut.cqs()[0] < whole.cqs()[0]
    assert cut.region_covered == whole.region_covered


def test_records_are_farther_than_r_apart() -> None:
    """Whatever the order and the pieces in which they came."""
    everybody = EverybodyLedger(GEOMETRY)
    for seed in range(30):
        everybody.add(2, [disc(GEOMETRY, 2, seed, 20)])
    kept = everybody.records(2)
    for place in range(1, len(kept)):
        nearest = nearest_distances(kept[:place], kept[place : place + 1])[0]
        assert nearest > GEOMETRY.coverage_radius[2]
