"""The index that a setting names."""

from __future__ import annotations

import pytest
from queen_sensitivity.index.base import AUTO_CELLS_WIDTH, open_index
from queen_sensitivity.index.cells import CELLS_WIDTH, CellIndex
from queen_sensitivity.index.faiss_flat import FlatIndex
from queen_sensitivity.ledgers.ledger_table import LedgerTable

from queen.errors import ConfigError
from tests.unit.sensitivity.index.indexed import geometry_of


def test_auto_chooses_the_index_for_the_width() -> None:
    """Cells where they are few, FAISS beyond; every other name is that index."""
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
