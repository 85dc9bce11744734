"""What the Redis store promises besides: durability, refusals, and nothing that expires."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    Conflict,
    LedgerKey,
    RedisLedgerStore,
    RedisOptions,
    Regressed,
)
from queen_sensitivity.ledger_store.redis.store import (
    classes_key,
    generations_key,
    index_key,
    list_key,
)

from queen.errors import ConfigError, DependencyUnavailable, LedgerCorrupt
from tests.contract.ledger_stores import PATIENT, PERMISSIONS, STRICT, append_of
from tests.redis_servers import RedisServer, redis_server, valkey_binary

KEY = LedgerKey("a", "g", 0)
SECRET = "s3cret-of-the-test"  # noqa: S105 - of a server that ends with its test
ANYBODY = ("default", "on", "nopass", "~*", "+@all")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server with nothing in it."""
    with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisLedgerStore]:
    """A store on that server."""
    opened = RedisLedgerStore(server.url, PATIENT)
    yield opened
    opened.close()


def test_kill_nine_of_the_server_loses_no_acknowledged_record(
    server: RedisServer, store: RedisLedgerStore
) -> None:
    """The server dies under a writer, three times; what it acknowledged is there again."""
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


def test_nothing_expires_and_every_key_is_ours(
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


def test_errors_name_their_type_alone(server: RedisServer, store: RedisLedgerStore) -> None:
    """No key, account or host is in a message, nor in the error that a log would print first."""
    with server.client() as client:
        client.set(list_key(LedgerKey("whose", "g", 0)), "not a list")
    with pytest.raises(DependencyUnavailable, match="refused a command") as refusal:
        store.append_many([append_of("whose", 0, 1.0)])
    assert "whose" not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_a_server_that_hangs_is_given_up_in_time(server: RedisServer) -> None:
    """A stopped process costs the timeout, not more, and its late append is not lost on us."""
    store = RedisLedgerStore(server.url, RedisOptions(timeout_seconds=0.3))
    store.append_many([append_of("a", 0, 1.0)])
    server.signal(signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(DependencyUnavailable, match="did not answer"):
        store.append_many([append_of("a", 1, 2.0), append_of("b", 0, 2.0)])
    waited = time.monotonic() - begun
    server.signal(signal.SIGCONT)
    assert 0.2 < waited < 2.0
    # Nobody knows whether it took place: the next append finds out.
    (result,) = store.append_many([append_of("a", 1, 2.0)])
    assert isinstance(result, Appended | Conflict)
    assert store.load("a", "g")[0][:, 0].tolist() == [1.0, 2.0]
    store.close()


def test_a_dead_server_is_not_waited_for_again_and_again(server: RedisServer) -> None:
    """After some failures calls fail at once, for a cool-down; then the store heals by itself."""
    now = [0.0]
    options = replace(PATIENT, breaker_failures=3, breaker_seconds=10.0)
    store = RedisLedgerStore(server.url, options, clock=lambda: now[0])
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


@pytest.mark.parametrize("user", [(), ("--user", *ANYBODY, "-config")])
def test_a_server_that_evicts_is_refused(tmp_path: Path, user: tuple[str, ...]) -> None:
    """Whether CONFIG may be asked or not, an evicting policy is found at the start."""
    words = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", *user)
    with (
        redis_server(tmp_path, *words) as server,
        pytest.raises(ConfigError, match="noeviction, got allkeys-lru"),
    ):
        RedisLedgerStore(server.url, PATIENT)


def test_a_server_that_forbids_config_is_believed_by_its_info(tmp_path: Path) -> None:
    """Managed services allow INFO and forbid CONFIG."""
    with redis_server(tmp_path, "--user", *ANYBODY, "-config") as server:
        RedisLedgerStore(server.url, PATIENT).close()


@pytest.mark.parametrize(
    "url", ["redis://{}@", "redis://:wrong-{}@", "redis://who:{}@", "redis://"]
)
def test_wrong_credentials_are_a_sentence_without_them(tmp_path: Path, url: str) -> None:
    """The operator reads where and why, and never a password."""
    with redis_server(tmp_path, "--requirepass", SECRET) as server:
        given = server.url.replace("redis://", url.format(SECRET))
        with pytest.raises(ConfigError, match="refused the credentials") as refusal:
            RedisLedgerStore(given, PATIENT)
        assert str(server.port) in str(refusal.value)
        assert SECRET not in str(refusal.value)
        assert refusal.value.__suppress_context__


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    """The URL then holds no secret, and may hold the user."""
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    options = replace(PATIENT, password_file=file)
    user = ("ledgers", "on", f">{SECRET}", "~queen:*", "resetchannels", "-@all", *PERMISSIONS)
    with redis_server(tmp_path, "--requirepass", SECRET, "--user", *user) as server:
        RedisLedgerStore(server.url, options).close()
        store = RedisLedgerStore(server.url.replace("://", "://ledgers@"), options)
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        assert store.list_accounts("g", "", 5) == ["a"]
        assert store.geometries("a") == ["g"]
        store.erase("a", ["g"], 0)
        assert store.list_accounts("g", "", 5) == []
        store.append_audit(b"{}")
        assert store.read_audit(0, 5) == [b"{}"]
        store.close()


def test_no_server_is_a_sentence(tmp_path: Path) -> None:
    """Nothing listens there: the address is named."""
    with redis_server(tmp_path) as server:
        server.kill()
        with pytest.raises(DependencyUnavailable, match=f"{server.port} did not answer"):
            RedisLedgerStore(server.url, PATIENT)


def test_a_server_without_an_append_only_file_is_warned_of(tmp_path: Path) -> None:
    """It is the operator's choice, and it is said."""
    with (
        redis_server(tmp_path, "--appendonly", "no") as server,
        structlog.testing.capture_logs() as lines,
    ):
        RedisLedgerStore(server.url, PATIENT).close()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "appendonly off" in lines[0]["event"]


def test_strict_durability_waits_for_the_disk(tmp_path: Path) -> None:
    """An append is acknowledged when WAITAOF counted the server's own disk."""
    with redis_server(tmp_path, binary=valkey_binary()) as server:
        store = RedisLedgerStore(server.url, STRICT)
        assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
        with server.client() as client:
            assert client.info("commandstats")["cmdstat_waitaof"]["calls"] >= 3
        store.close()


def test_strict_durability_wants_its_replica(tmp_path: Path) -> None:
    """Without the replica an append is no success, though it took place; with it, it is."""
    options = replace(STRICT, durability="replica", durability_timeout_seconds=0.1)
    binary = valkey_binary()
    with redis_server(
        tmp_path / "primary", "--repl-diskless-sync-delay", "0", binary=binary
    ) as primary:
        store = RedisLedgerStore(primary.url, options)
        with pytest.raises(DependencyUnavailable, match="1 replicas in time, got 1 and 0"):
            store.append_many([append_of("a", 0, 1.0)])
        store.close()
        follow = ("--replicaof", f"127.0.0.1 {primary.port}")
        with redis_server(tmp_path / "replica", *follow, binary=binary) as replica:
            _await_link(replica)
            store = RedisLedgerStore(primary.url, replace(options, durability_timeout_seconds=10.0))
            assert store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
            store.close()


def _await_link(replica: RedisServer) -> None:
    deadline = time.monotonic() + 20
    with replica.client() as client:
        while client.info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--appendonly", "no"), "appendonly yes"),
        (("--user", *ANYBODY, "-waitaof"), "WAITAOF"),
    ],
)
def test_strict_durability_that_cannot_be_had_is_refused(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """At the start, and not at the first append."""
    with (
        redis_server(tmp_path, *words, binary=valkey_binary()) as server,
        pytest.raises(ConfigError, match=message),
    ):
        RedisLedgerStore(server.url, STRICT)
