"""The bench of appends leaves a Redis as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.bench.state.appends import measure_redis, measure_sqlite
from queen.errors import ConfigError
from tests.redis_servers import redis_server


def test_a_redis_that_is_there_is_used_and_left_as_it_was(tmp_path: Path) -> None:
    """Accounts of the bench are erased; others are not touched."""
    with redis_server(tmp_path / "redis") as server:
        with server.client() as client:
            client.set("mine", 1)
        measured = measure_redis(server.url, tmp_path, 10)
        assert measured["append_over_bare_lua"] > 0
        with server.client() as client:
            kept = [key for key in client.scan_iter() if client.type(key) in (b"list", b"set")]
            assert client.get("mine") == b"1"
            assert kept == []


def test_without_a_redis_the_bench_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the program and the flag."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"expected redis-server on the PATH.*--redis"):
        measure_redis(None, tmp_path, 10)


def test_sqlite_is_measured_with_and_without_batches(tmp_path: Path) -> None:
    """The modes of synchronous have a rate for each size of batch."""
    rates = measure_sqlite(tmp_path, 5)["sqlite_appends_per_second"]
    assert rates.keys() == {"full", "normal"}
    assert all(rate > 0 for mode in rates.values() for rate in mode.values())
