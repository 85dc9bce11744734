from collections.abc import Iterator
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import LedgerStore

from tests.contract.ledger_stores import STORES


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """An empty store of each kind."""
    opened = STORES[request.param](tmp_path)
    yield opened
    opened.close()
