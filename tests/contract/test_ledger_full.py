"""A Redis that answers and takes no records: full, read-only, or with a disk that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from queen_sensitivity.ledger_store import (
    Appended,
    Damaged,
    LedgerKey,
    RedisLedgerStore,
    RedisOptions,
    Refused,
    open_redis_store,
)
from queen_sensitivity.ledger_store.redis.keys import list_key

from queen.errors import LedgerFull
from tests.contract.ledger_stores import PATIENT, STRICT, append_of
from tests.redis_servers import RedisServer, redis_binary, valkey_binary
from tests.waiting import eventually

SERVERS = {
    "redis": (redis_binary, PATIENT),
    "valkey-strict": (valkey_binary, STRICT),
    "redis-two": (redis_binary, replace(PATIENT, breaker_failures=2)),
}


@pytest.fixture(params=list(SERVERS))
def served(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[RedisServer, RedisLedgerStore]]:
    """A server, and a store on it with two accounts."""
    binary, options = SERVERS[request.param]
    server = RedisServer(tmp_path, binary=binary())
    try:
        with closing(open_redis_store(server.url, options)) as store:
            store.append_many([append_of("a", 0, 1.0), append_of("b", 0, 1.0)])
            yield server, store
    finally:
        server.stop()


def out_of_memory(client: redis.Redis) -> Callable[[], object]:
    """Less memory than is used already."""
    client.config_set("maxmemory", 1)
    return lambda: client.config_set("maxmemory", 0)


def read_only(client: redis.Redis) -> Callable[[], object]:
    """A replica of a server that is not there."""
    client.config_set("replica-read-only", "yes")
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    return lambda: client.execute_command("REPLICAOF", "NO", "ONE")


def too_few_replicas(client: redis.Redis) -> Callable[[], object]:
    """A primary that must not be written to without a replica."""
    client.config_set("min-replicas-to-write", 1)
    return lambda: client.config_set("min-replicas-to-write", 0)


@pytest.mark.parametrize(
    ("fill", "code"),
    [(out_of_memory, "OOM"), (read_only, "READONLY"), (too_few_replicas, "NOREPLICAS")],
)
def test_a_server_that_takes_no_records_answers_everything_else(
    served: tuple[RedisServer, RedisLedgerStore],
    fill: Callable[[redis.Redis], Callable[[], object]],
    code: str,
) -> None:
    """New and known accounts are refused, lists are read and compared, and it mends by itself."""
    server, store = served
    with server.client() as client:
        mend = fill(client)
        results = store.append_many(
            [append_of("a", 1, 2.0), append_of("new", 0, 2.0), append_of("b", 1)]
        )
        assert [type(result) for result in results] == [Refused, Refused, Appended]
        assert code in results[0].cause
        assert code in results[1].cause
        assert store.append_many([append_of("a", 1, 2.0)]) == [results[0]]
        assert (len(store.load("a", "g")[0]), store.load("new", "g")) == (1, {})
        for write in (store.probe, lambda: store.append_audit(b"x")):
            with pytest.raises(LedgerFull, match=code):
                write()
        mend()
        store.probe()
        assert store.append_many([append_of("a", 1, 2.0), append_of("new", 0, 2.0)]) == [
            Appended(2),
            Appended(1),
        ]
        assert client.exists("queen:accounts:probe") == 0


def test_a_server_whose_disk_fails_takes_no_records(tmp_path: Path) -> None:
    """MISCONF: the last snapshot failed, and the server stops taking writes."""
    server = RedisServer(tmp_path / "server", ("--save", "1 1"))
    try:
        with closing(open_redis_store(server.url, PATIENT)) as store, server.client() as client:
            store.append_many([append_of("a", 0, 1.0)])
            # A folder in the place of the file: root, too, cannot rename over it.
            (tmp_path / "server" / "dump.rdb" / "x").mkdir(parents=True)
            client.bgsave()
            eventually(
                lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err",
                20,
                server.log.read_text,
            )
            (result,) = store.append_many([append_of("a", 1, 2.0)])
            assert isinstance(result, Refused)
            assert "MISCONF" in result.cause
            assert len(store.load("a", "g")[0]) == 1
    finally:
        server.stop()


def test_something_else_under_a_key_fails_its_account_alone(tmp_path: Path) -> None:
    """Another program wrote there, for instance."""
    server = RedisServer(tmp_path)
    try:
        with closing(open_redis_store(server.url, RedisOptions(timeout_seconds=10.0))) as store:
            with server.client() as client:
                client.set(list_key(LedgerKey("a", "g", 0)), "no list")
                client.rpush(list_key(LedgerKey("b", "g", 0)), b"short")
            results = store.append_many(
                [append_of("a", 0, 1.0), append_of("b", 0, 1.0), append_of("c", 0, 1.0)]
            )
            assert results == [Damaged(), Damaged(), Appended(1)]
    finally:
        server.stop()
