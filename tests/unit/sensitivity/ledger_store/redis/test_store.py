"""Ledgers in Redis: their keys, their index, and lists that lost records."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    Conflict,
    LedgerKey,
    RedisLedgerStore,
    Regressed,
    open_redis_store,
)
from queen_sensitivity.ledger_store.redis.keys import (
    classes_key,
    generations_key,
    index_key,
    list_key,
)

from queen.errors import LedgerCorrupt
from tests.contract.ledger_stores import PATIENT, PERMISSIONS, append_of
from tests.redis_servers import RedisServer, redis_server

KEY = LedgerKey("a", "g", 0)
SECRET = "s3cret-of-the-test"  # noqa: S105 - of a server that ends with its test


def test_a_list_that_was_cut_is_a_regression(server: RedisServer, store: RedisLedgerStore) -> None:
    """Records that vanish in Redis are noticed at the next append, which changes nothing."""
    store.append_many([append_of("a", 0, 1.0, 2.0, 3.0)])
    with server.client() as client:
        client.ltrim(list_key(KEY), 0, 0)
    assert store.append_many([append_of("a", 3, 9.0)]) == [Regressed(1)]
    assert store.append_many([append_of("a", 1, 2.0, 3.0)]) == [Appended(3)]


def test_an_old_append_only_file_is_a_regression(
    server: RedisServer, store: RedisLedgerStore
) -> None:
    """A server restored from a backup says how much it still has."""
    store.append_many([append_of("a", 0, 1.0)])
    kept, now = server.folder / "backup", server.folder / "appendonlydir"
    shutil.copytree(now, kept)
    store.append_many([append_of("a", 1, 2.0, 3.0)])
    server.kill()
    shutil.rmtree(now)
    shutil.copytree(kept, now)
    server.restart()
    assert store.append_many([append_of("a", 3, 4.0)]) == [Regressed(1)]


def test_no_key_expires_and_every_key_is_documented(
    server: RedisServer, store: RedisLedgerStore
) -> None:
    """An account is four kinds of key, none with a time to live."""
    store.append_many([append_of("a}{:b", 0, 1.0, label=4)])
    with server.client() as client:
        keys = {key.decode() for key in client.keys()}  # noqa: SIM118 - no dict
        assert all(client.ttl(key) == -1 for key in keys)
    key = LedgerKey("a}{:b", "g", 4)
    assert keys == {
        generations_key("a}{:b"),
        classes_key(*key[:2]),
        list_key(key),
        index_key("g"),
    }
    assert list_key(key) == "queen:{a%7D%7B%3Ab}:g:4"


def test_many_records_go_in_at_once(store: RedisLedgerStore) -> None:
    """A ledger of 20,000 records can be given back in one append and read in one load."""
    many = np.arange(40_000, dtype=np.float32).reshape(-1, 2)
    assert store.append_many([Append(KEY, 0, many)]) == [Appended(20_000)]
    assert np.array_equal(store.load("a", "g")[0], many)
    (conflict,) = store.append_many([append_of("a", 19_999, 1.0)])
    assert isinstance(conflict, Conflict)


def test_an_index_entry_without_a_record_is_not_listed(
    server: RedisServer, store: RedisLedgerStore
) -> None:
    """The index is written before the record, so it may be ahead of it."""
    store.append_many([append_of(name, 0, 1.0) for name in ("a", "c", "e")])
    with server.client() as client:
        client.zadd(index_key("g"), {"b": 0, "d": 0, "f": 0})
    assert store.list_accounts("g", "", 2) == ["a", "c"]
    assert store.list_accounts("g", "c", 2) == ["e"]


def test_records_of_two_widths_are_damage(server: RedisServer, store: RedisLedgerStore) -> None:
    """A ledger that cannot be an array is reported, not guessed at."""
    store.append_many([append_of("a", 0, 1.0)])
    with server.client() as client:
        client.rpush(list_key(KEY), b"x")
    with pytest.raises(LedgerCorrupt, match="damaged"):
        store.load("a", "g")


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    """The URL then holds no secret, and may hold the user."""
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    options = replace(PATIENT, password_file=file)
    user = ("ledgers", "on", f">{SECRET}", "~queen:*", "resetchannels", "-@all", *PERMISSIONS)
    with redis_server(tmp_path, "--requirepass", SECRET, "--user", *user) as server:
        open_redis_store(server.url, options).close()
        store = open_redis_store(server.url.replace("://", "://ledgers@"), options)
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        assert store.list_accounts("g", "", 5) == ["a"]
        assert store.geometries("a") == ["g"]
        store.erase("a", ["g"], 0)
        assert store.list_accounts("g", "", 5) == []
        store.append_audit(b"{}")
        assert store.read_audit(0, 5) == [b"{}"]
        store.close()
