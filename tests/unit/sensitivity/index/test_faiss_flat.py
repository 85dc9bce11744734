"""Nearest records by FAISS: where float32 cannot tell, float64 decides."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.index.faiss_flat import FlatIndex

from queen.method.neighbors import nearest_distances
from tests.unit.sensitivity.index.indexed import (
    Ledgers,
    geometry_of,
    move_to_boundary,
    points_in,
)


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
    move_to_boundary(geometry, queries, zeros, [records], rng)
    ledgers.check(np.full(400, number), queries, zeros)
    monkeypatch.setattr(FlatIndex, "_borderline", lambda *_: np.zeros(0, int))
    found = ledgers.search.is_novel(np.full(400, number), queries, zeros)
    exact = nearest_distances(records, queries) > geometry.coverage_radius[0]
    assert (found != exact).sum() > 5
