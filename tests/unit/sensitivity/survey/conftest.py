import pytest
from queen_sensitivity.ledger_store import MemoryLedgerStore

from tests.unit.sensitivity.survey.surveys import populated_store


@pytest.fixture(scope="session")
def populated() -> MemoryLedgerStore:
    """A store with honest accounts and thieves, which no test changes."""
    return populated_store()
