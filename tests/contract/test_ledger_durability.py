"""A SIGKILL loses no acknowledged record: of the process with SQLite, of the server with Redis."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import (
    Appended,
    RedisLedgerStore,
    open_redis_store,
    open_sqlite_store,
)

from queen.errors import DependencyUnavailable
from tests.contract.ledger_stores import PATIENT, append_of
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


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_kill_nine_loses_no_acknowledged_record(tmp_path: Path, synchronous: str) -> None:
    """A writer dies in the middle of its work, three times; its acknowledged records are there."""
    file = tmp_path / "ledger.sqlite3"
    for seconds in (0.15, 0.3, 0.45):
        acknowledged = _write_until_killed(tmp_path, file, synchronous, seconds)
        store = open_sqlite_store(file)
        loaded = store.load("a", "g")
        store.close()
        for label, version in acknowledged.items():
            kept = loaded[label][:, 0].tolist()
            assert len(kept) >= version > 0
            assert kept == [float(number) for number in range(len(kept))]
        file.unlink()


def _write_until_killed(
    folder: Path, file: Path, synchronous: str, seconds: float
) -> dict[int, int]:
    """Versions by label that a killed writer acknowledged."""
    output = folder / "acknowledged"
    with output.open("wb") as stream:
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.writer", str(file), synchronous], stdout=stream
        )
    deadline = time.monotonic() + 30
    while not output.stat().st_size and time.monotonic() < deadline and writer.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    # The last line may be cut: an acknowledgement that did not arrive in full.
    lines = output.read_text().rpartition("\n")[0].splitlines()
    return {int(label): int(version) for label, version in (line.split() for line in lines)}


def test_kill_nine_of_the_server_loses_no_acknowledged_record(
    server: RedisServer, store: RedisLedgerStore
) -> None:
    """The server dies under a writer, three times; its acknowledged records are there again."""
    acknowledged = 0
    for _ in range(3):
        killer = threading.Timer(0.2, server.kill)
        killer.start()
        acknowledged = _write_until_refused(store, acknowledged)
        killer.join()
        server.restart()
        kept = store.load("a", "g")[0][:, 0].tolist()
        assert len(kept) >= acknowledged > 0
        assert kept == [float(number) for number in range(len(kept))]
        acknowledged = len(kept)


def _write_until_refused(store: RedisLedgerStore, version: int) -> int:
    """The last version that the store acknowledged."""
    while True:
        try:
            (result,) = store.append_many([append_of("a", version, float(version))])
        except DependencyUnavailable:
            return version
        assert isinstance(result, Appended)
        version = result.version
