"""Measures appends: the round trip to Redis, and the rate at which SQLite commits them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from queen_sensitivity.ledger_store import (
    Append,
    LedgerKey,
    LedgerStore,
    RedisOptions,
    open_redis_store,
    open_sqlite_store,
    packed_end,
    read_address,
)
from queen_sensitivity.ledger_store.redis.address import connect

from queen.bench.state.timing import p50
from queen.errors import ConfigError
from queen.serving.lasting.parent import ends_with_parent

_LOOPBACK = "127.0.0.1"
_ACCOUNTS = 200
_START_SECONDS = 20.0
_BARE = "return 1"
_SQLITE_BATCH = 64
_RECORD = np.ones((1, 2), np.float32)
# No bundle has this digest: the accounts of the bench stay apart from all others in the Redis.
_GEOMETRY = "0" * 64
_PREFIX = "queen bench state"


def measure_redis(url: str | None, folder: Path, rounds: int) -> dict[str, Any]:
    """An append of one record of one account over a bare Lua call, round trips in turns.

    Both go through redis-py with the settings of the service. Without `url` the bench starts a
    server; its accounts are erased at the end. ConfigError without a redis-server to start.
    """
    if url is not None:
        return _measure_redis(url, rounds)
    with _redis_server(folder) as own:
        return _measure_redis(own, rounds)


def _measure_redis(url: str, rounds: int) -> dict[str, Any]:
    client = connect(read_address(url), RedisOptions())
    store = open_redis_store(url)
    names = [f"{_PREFIX} {index}" for index in range(_ACCOUNTS)]
    try:
        bare = client.script_load(_BARE)
        appends, calls = [], []
        for append in _appends(store, names, 10 * rounds):
            start = time.perf_counter()
            store.append_many([append])
            middle = time.perf_counter()
            client.evalsha(bare, 0)
            appends.append(middle - start)
            calls.append(time.perf_counter() - middle)
    finally:
        for name in names:
            store.erase(name, [_GEOMETRY], 0)
        store.close()
        client.close()
    return {
        "append_over_bare_lua": round(p50(appends) / p50(calls), 3),
        "redis_append_microseconds": round(1e6 * p50(appends), 1),
        "bare_lua_microseconds": round(1e6 * p50(calls), 1),
    }


def _appends(store: LedgerStore, names: list[str], count: int) -> Iterator[Append]:
    """Appends of a record to the accounts in turn, whose lists have records already."""
    generations = store.generations(names, _GEOMETRY)
    keys = [LedgerKey(name, _GEOMETRY, 0) for name in names]
    pairs = list(zip(keys, generations, strict=True))
    behind = packed_end(_RECORD)
    store.append_many([Append(key, 0, _RECORD, generation) for key, generation in pairs])
    for turn in range(count):
        key, generation = pairs[turn % len(pairs)]
        yield Append(key, 1 + turn // len(pairs), _RECORD, generation, behind)


def measure_sqlite(folder: Path, rounds: int) -> dict[str, Any]:
    """Records of many accounts that SQLite commits in a second, 1 or 64 in a transaction."""
    measured: dict[str, dict[str, int]] = {}
    for synchronous in ("full", "normal"):
        store = open_sqlite_store(folder / f"appends-{synchronous}", synchronous)
        names = [f"account-{index}" for index in range(_ACCOUNTS)]
        try:
            appends = list(_appends(store, names, (1 + _SQLITE_BATCH) * rounds))
            rates = {}
            for batch, first in ((1, 0), (_SQLITE_BATCH, rounds)):
                last = first + batch * rounds
                start = time.perf_counter()
                for at in range(first, last, batch):
                    store.append_many(appends[at : at + batch])
                rates[f"batch {batch}"] = round(batch * rounds / (time.perf_counter() - start))
        finally:
            store.close()
        measured[synchronous] = rates
    return {"sqlite_appends_per_second": measured}


@contextmanager
def _redis_server(folder: Path) -> Iterator[str]:
    """URL of a new redis-server with an append-only file that is synced every second."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise ConfigError(
            "expected redis-server on the PATH, got none; install it, or name a running one "
            "with --redis redis://HOST:PORT"
        )
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port = int(probe.getsockname()[1])
    words = ["--port", str(port), "--bind", _LOOPBACK, "--dir", str(folder), "--save", ""]
    words += ["--appendonly", "yes", "--appendfsync", "everysec", "--loglevel", "warning"]
    process = subprocess.Popen(  # noqa: S603 - our own words
        [binary, *words],
        stdout=subprocess.DEVNULL,
        preexec_fn=ends_with_parent(),  # noqa: PLW1509 - it only makes two system calls
    )
    try:
        _await_listening(port, process)
        yield f"redis://{_LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait()


def _await_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((_LOOPBACK, port), timeout=1) as line:
                line.sendall(b"PING\r\n")
                if line.recv(64).startswith(b"+PONG"):
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise ConfigError("expected redis-server to answer on a free port, got no answer")
