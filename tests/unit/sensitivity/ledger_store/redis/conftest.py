from collections.abc import Iterator
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import RedisLedgerStore, open_redis_store

from tests.contract.ledger_stores import PATIENT
from tests.redis_servers import RedisServer, redis_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with nothing in it."""
    with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisLedgerStore]:
    """A store on that server."""
    opened = open_redis_store(server.url, PATIENT)
    yield opened
    opened.close()
