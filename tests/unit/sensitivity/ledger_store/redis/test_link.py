"""The link to Redis: scripts, errors, servers that do not answer, and durability."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import (
    Appended,
    Conflict,
    RedisLedgerStore,
    RedisOptions,
    open_redis_store,
)
from queen_sensitivity.ledger_store.redis.keys import generations_key

from queen.errors import DependencyUnavailable, LedgerCorrupt
from tests.contract.ledger_stores import PATIENT, STRICT, append_of
from tests.redis_servers import RedisServer, redis_server, valkey_binary


def test_a_server_that_forgot_the_scripts_is_told_again(
    server: RedisServer, store: RedisLedgerStore
) -> None:
    """A restart or SCRIPT FLUSH costs one more round trip and nothing else."""
    for version in range(3):
        with server.client() as client:
            client.script_flush()
        appends = [append_of("a", version, 1.0), append_of("b", version, 2.0)]
        assert store.append_many(appends) == [Appended(version + 1)] * 2
    assert len(store.load("a", "g")[0]) == 3


def test_errors_name_their_type_alone(server: RedisServer, store: RedisLedgerStore) -> None:
    """No key, account or host is in a message, nor in the error that a log would print first."""
    with server.client() as client:
        client.acl_setuser("default", commands=["-hkeys"])
        client.set(generations_key("whose"), "no hash")
    with pytest.raises(DependencyUnavailable, match="refused a command") as refusal:
        store.geometries("whose")
    with pytest.raises(LedgerCorrupt) as damage:
        store.generations(["whose"], "g")
    assert "whose" not in str(refusal.value) + str(damage.value)
    assert refusal.value.__suppress_context__


def test_a_server_that_hangs_is_given_up_in_time(server: RedisServer) -> None:
    """A stopped process costs the timeout, not more, and its late append is noticed."""
    store = open_redis_store(server.url, RedisOptions(timeout_seconds=0.3))
    store.append_many([append_of("a", 0, 1.0)])
    server.signal(signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(DependencyUnavailable, match="did not answer"):
        store.append_many([append_of("a", 1, 2.0), append_of("b", 0, 2.0)])
    waited = time.monotonic() - begun
    server.signal(signal.SIGCONT)
    assert 0.2 < waited < 2.0
    # It is unknown whether the append took place: the next append finds out.
    (result,) = store.append_many([append_of("a", 1, 2.0)])
    assert isinstance(result, Appended | Conflict)
    assert store.load("a", "g")[0][:, 0].tolist() == [1.0, 2.0]
    store.close()


def test_a_dead_server_fails_calls_at_once(server: RedisServer) -> None:
    """After some failures calls fail at once, for a cool-down; then the store heals by itself."""
    now = [0.0]
    options = replace(PATIENT, breaker_failures=3, breaker_seconds=10.0)
    store = open_redis_store(server.url, options, clock=lambda: now[0])
    server.kill()
    for _ in range(3):
        with pytest.raises(DependencyUnavailable, match="did not answer"):
            store.load("a", "g")
    server.restart()
    with pytest.raises(DependencyUnavailable, match="not asked again yet"):
        store.load("a", "g")
    now[0] = 10.0
    assert store.load("a", "g") == {}
    assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
    store.close()


def test_strict_durability_waits_for_the_disk(tmp_path: Path) -> None:
    """An append is acknowledged when WAITAOF counted the server's own disk."""
    with redis_server(tmp_path, binary=valkey_binary()) as server:
        store = open_redis_store(server.url, STRICT)
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        with server.client() as client:
            assert client.info("commandstats")["cmdstat_waitaof"]["calls"] >= 3
        store.close()


def test_strict_durability_wants_its_replica(tmp_path: Path) -> None:
    """An append is no success until the replica has it, though it took place."""
    options = replace(STRICT, durability="replica", durability_timeout_seconds=0.1)
    binary = valkey_binary()
    with redis_server(
        tmp_path / "primary", "--repl-diskless-sync-delay", "0", binary=binary
    ) as primary:
        store = open_redis_store(primary.url, options)
        with pytest.raises(DependencyUnavailable, match="1 replicas in time, got 1 and 0"):
            store.append_many([append_of("a", 0, 1.0)])
        store.close()
        follow = ("--replicaof", f"127.0.0.1 {primary.port}")
        with redis_server(tmp_path / "replica", *follow, binary=binary) as replica:
            _await_link(replica)
            store = open_redis_store(primary.url, replace(options, durability_timeout_seconds=10.0))
            assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
            store.close()


def _await_link(replica: RedisServer) -> None:
    deadline = time.monotonic() + 20
    with replica.client() as client:
        while client.info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.05)
