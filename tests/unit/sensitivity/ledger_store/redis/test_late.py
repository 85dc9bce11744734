"""A Redis that is not there yet when the service starts, and a password that changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from queen_sensitivity.ledger_store import Appended, RedisOptions, open_redis_store

from queen.errors import ConfigError, DependencyUnavailable
from tests.contract.ledger_stores import PATIENT, append_of
from tests.redis_servers import redis_server

PAUSE = replace(PATIENT, breaker_seconds=1.0)


def test_a_late_redis_is_used_once_it_answers(tmp_path: Path) -> None:
    """Until then calls fail as to a Redis that is gone, and one a pause tries; one line says so."""
    now = [0.0]
    with redis_server(tmp_path) as server, structlog.testing.capture_logs() as lines:
        server.stop()
        store = open_redis_store(server.url, PAUSE, lambda: now[0], may_be_late=True)
        for _ in range(3):
            with pytest.raises(DependencyUnavailable, match=f"{server.port} did not answer"):
                store.load("a", "g")
            now[0] += 2.0
        assert not store.await_open()
        server.restart()
        # Within the pause nobody tries.
        assert not store.await_open()
        now[0] += 2.0
        assert store.await_open()
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        store.close()
    told = [line["event"] for line in lines]
    assert told == ["the ledger store cannot be opened", "the ledger store is open"]


def test_a_late_redis_that_fails_a_check_is_not_used(tmp_path: Path) -> None:
    """An evicting server would lose records: it is an error in the log until it is mended."""
    now = [0.0]
    with redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server:
        server.stop()
        store = open_redis_store(server.url, PAUSE, lambda: now[0], may_be_late=True)
        server.restart()
        now[0] += 2.0
        with (
            structlog.testing.capture_logs() as lines,
            pytest.raises(DependencyUnavailable, match="noeviction, got allkeys-lru"),
        ):
            store.load("a", "g")
        assert [line["log_level"] for line in lines] == ["error"]
        server.client().config_set("maxmemory-policy", "noeviction")
        now[0] += 2.0
        assert store.load("a", "g") == {}
        store.close()


def test_a_redis_that_answers_and_is_unfit_still_ends_the_start(tmp_path: Path) -> None:
    """Late is not wrong: what an operator must mend is said before anything serves."""
    with (
        redis_server(tmp_path, "--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(ConfigError, match="noeviction"),
    ):
        open_redis_store(server.url, PAUSE, may_be_late=True)


def test_the_password_of_a_new_connection_is_that_of_the_file_by_then(tmp_path: Path) -> None:
    """The server and the file get a new password, connections end, and no call is lost for long."""
    file = tmp_path / "password"
    file.write_text("first word\n")
    options: RedisOptions = replace(PATIENT, password_file=file)
    with redis_server(tmp_path, "--requirepass", "first word") as server:
        store = open_redis_store(server.url, options)
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        admin = server.client()
        admin.auth("first word")
        admin.config_set("requirepass", "second word")
        file.write_text("second word\n")
        admin.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        assert store.append_many([append_of("a", 1, 2.0)]) == [Appended(2)]
        # A file that is away for a moment changes nothing.
        file.unlink()
        admin.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        assert len(store.load("a", "g")) == 1
        store.close()
