"""Ledgers spread over a cluster: its servers, its slots on the move, a server that dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis
from queen_sensitivity.ledger_store import Appended, Conflict, RedisLedgerStore, open_redis_store
from queen_sensitivity.ledger_store.redis.keys import classes_key
from redis.crc import key_slot

from queen.errors import DependencyUnavailable
from tests.contract.ledger_stores import PATIENT, PERMISSIONS, append_of, records_of
from tests.redis_servers import RedisServer, redis_cluster

NAMES = [f"account-{number}" for number in range(60)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three primaries."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def store(servers: list[RedisServer]) -> Iterator[RedisLedgerStore]:
    """A store whose URL names two of the three servers, on an empty cluster."""
    for server in servers:
        with server.client() as client:
            client.flushall()
    opened = open_redis_store(url_of(servers[:2]), PATIENT)
    yield opened
    opened.close()


def url_of(servers: list[RedisServer]) -> str:
    """The URL of a cluster."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def slot_of(account: str) -> int:
    """The slot of all ledgers of an account."""
    return int(key_slot(classes_key(account, "g").encode()))


def owner_of(slot: int, servers: list[RedisServer]) -> RedisServer:
    """The server that has a slot."""
    with servers[0].client() as client:
        ranges = client.execute_command("CLUSTER SLOTS")
    port = next(primary[1] for first, last, primary in ranges if first <= slot <= last)
    return next(server for server in servers if server.port == port)


def test_appends_of_many_accounts_reach_every_server(
    servers: list[RedisServer], store: RedisLedgerStore
) -> None:
    """A call is split over the servers; ledgers and the order of accounts are as on one."""
    appends = [append_of(name, 0, float(index)) for index, name in enumerate(NAMES)]
    assert store.append_many(appends) == [Appended(1)] * len(NAMES)
    again = store.append_many([append_of(name, 0, 9.0, label=1) for name in NAMES])
    assert again == [Appended(1)] * len(NAMES)
    for server in servers:
        with server.client() as client:
            assert client.dbsize() > 10
    for index, name in enumerate(NAMES):
        loaded = store.load(name, "g")
        assert np.array_equal(loaded[0], records_of(float(index)))
        assert np.array_equal(loaded[1], records_of(9.0))
    assert store.list_accounts("g", "", 100) == sorted(NAMES)
    (stale,) = store.append_many([append_of(NAMES[0], 0, 5.0)])
    assert isinstance(stale, Conflict)


def test_a_slot_on_the_move_is_followed(
    servers: list[RedisServer], store: RedisLedgerStore
) -> None:
    """ASK while it moves and MOVED afterwards: no append fails, none is lost."""
    moving, staying = "moving", "staying"
    store.append_many([append_of(moving, 0, 1.0), append_of(staying, 0, 1.0)])
    slot = slot_of(moving)
    source = owner_of(slot, servers)
    target = next(server for server in servers if server is not source)
    with source.client() as old, target.client() as new:
        ids = [client.execute_command("CLUSTER MYID") for client in (old, new)]
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
        _migrate(old, target, slot)
        both = [append_of(moving, 1, 2.0), append_of(staying, 1, 2.0)]
        assert store.append_many(both) == [Appended(2), Appended(2)]
        for client in (new, old):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
    both = [append_of(moving, 2, 3.0), append_of(staying, 2, 3.0)]
    assert store.append_many(both) == [Appended(3), Appended(3)]
    assert store.load(moving, "g")[0][:, 0].tolist() == [1.0, 2.0, 3.0]


def _migrate(old: redis.Redis, target: RedisServer, slot: int) -> None:
    while keys := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)


def test_a_user_with_the_documented_permissions_suffices(
    servers: list[RedisServer], store: RedisLedgerStore
) -> None:
    """The commands that docs/operations.md lists, with those for a cluster."""
    rights = [*PERMISSIONS, "+cluster|slots", "+asking", "+command"]
    for server in servers:
        with server.client() as client:
            words = ("on", ">word", "~queen:*", "resetchannels", "-@all", *rights)
            client.execute_command("ACL", "SETUSER", "ledgers", *words)
    limited = open_redis_store(url_of(servers).replace("://", "://ledgers:word@"), PATIENT)
    names = NAMES[:9]
    assert limited.append_many([append_of(name, 0, 1.0) for name in names]) == [Appended(1)] * 9
    assert limited.list_accounts("g", "", 10) == names
    assert len(limited.load(names[0], "g")[0]) == 1
    limited.close()


def test_a_dead_server_is_an_outage_of_its_own_accounts_alone(tmp_path: Path) -> None:
    """The accounts of the other servers are served meanwhile, and all of them afterwards."""
    with redis_cluster(tmp_path) as servers:
        options = replace(PATIENT, timeout_seconds=2.0, breaker_failures=1000)
        store = open_redis_store(url_of(servers), options)
        store.append_many([append_of(name, 0, 1.0) for name in NAMES])
        dead = owner_of(slot_of(NAMES[0]), servers)
        there = [name for name in NAMES if owner_of(slot_of(name), servers) is dead]
        elsewhere = [name for name in NAMES if name not in there]
        dead.kill()
        with pytest.raises(DependencyUnavailable):
            store.append_many([append_of(there[0], 1, 2.0)])
        assert store.append_many([append_of(elsewhere[0], 1, 2.0)]) == [Appended(2)]
        dead.restart()
        for name in there:
            assert len(_load_when_back(store, name)) == 1
        store.close()


def _load_when_back(store: RedisLedgerStore, account: str) -> np.ndarray:
    deadline = time.monotonic() + 30
    while True:
        try:
            return store.load(account, "g")[0]
        except DependencyUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
