"""Nearest records by FAISS on a GPU."""

from __future__ import annotations

import faiss
import pytest
from queen_sensitivity.index.base import open_index
from queen_sensitivity.index.faiss_gpu import GpuIndex
from queen_sensitivity.ledgers.ledger_table import LedgerTable

from queen.errors import ConfigError
from tests.unit.sensitivity.index.indexed import HAS_GPU, Ledgers, geometry_of


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    """A setting that cannot be had is an error at the start, not a slower search."""
    with pytest.raises(ConfigError, match="search gpu: expected"):
        open_index("gpu", geometry_of(2, 0.1), LedgerTable(2))


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no GPU")
def test_a_gpu_is_used_where_there_is_one() -> None:
    """The ledgers' indexes lie on the device."""
    ledgers = Ledgers("gpu", geometry_of(2, 0.1))
    assert isinstance(ledgers.search, GpuIndex)
    number = ledgers.open(0)
    ledgers.add({number: ledgers.geometry.cluster_centers[:1].copy()})
    assert isinstance(ledgers.search.indexes[number], faiss.GpuIndexFlatL2)
