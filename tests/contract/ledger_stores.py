"""The stores that the conformance suite holds to their contract, and appends to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from prometheus_client import Histogram
from queen_sensitivity.ledger_store import (
    Append,
    LedgerKey,
    LedgerStore,
    MemoryLedgerStore,
    RedisLedgerStore,
    RedisOptions,
    TimedStore,
    open_sqlite_store,
)
from queen_sensitivity.ledger_store.redis.link import RedisLink
from queen_sensitivity.ledger_store.redis.store import open_redis_link

from tests.redis_servers import RedisServer, redis_binary, valkey_binary

OpenStore = Callable[[Path], LedgerStore]


class OwnedRedisStore(RedisLedgerStore):
    """A store with a server of its own, which ends with it and leaves its files."""

    def __init__(self, link: RedisLink, server: RedisServer) -> None:
        super().__init__(link)
        self._server = server

    def close(self) -> None:
        """Close the connections, then end the server the hard way."""
        super().close()
        self._server.kill()


def open_owned_store(folder: Path, binary: str, options: RedisOptions) -> OwnedRedisStore:
    """A store on a new server whose files are in `folder`."""
    server = RedisServer(folder, binary=binary)
    try:
        return OwnedRedisStore(open_redis_link(server.url, options), server)
    except BaseException:
        server.stop()
        raise


def timed_store() -> TimedStore:
    """A store in memory that is timed."""
    load, append = (Histogram(name, name, registry=None) for name in ("load", "append"))
    return TimedStore(MemoryLedgerStore(), load, append)


PATIENT = RedisOptions(timeout_seconds=10.0, connect_timeout_seconds=10.0)
"""Waits that a busy machine does not reach."""
STRICT = RedisOptions(timeout_seconds=10.0, durability="local", durability_timeout_seconds=10.0)

PERMISSIONS = (
    *("+llen", "+lrange", "+rpush", "+sadd", "+smembers", "+exists", "+zadd", "+zrangebylex"),
    *("+hget", "+hset", "+hsetnx", "+hkeys", "+del", "+zrem"),
    *("+evalsha", "+eval", "+info", "+config|get"),
)
"""Commands that docs/operations.md lists, for one server and without strict durability."""

STORES: dict[str, OpenStore] = {
    "memory": lambda _: MemoryLedgerStore(),
    "timed": lambda _: timed_store(),
    "sqlite-full": lambda folder: open_sqlite_store(folder / "ledger.sqlite3"),
    "sqlite-normal": lambda folder: open_sqlite_store(folder / "ledger.sqlite3", "normal"),
    "redis": lambda folder: open_owned_store(folder, redis_binary(), PATIENT),
    "valkey-strict": lambda folder: open_owned_store(folder, valkey_binary(), STRICT),
}
"""Every store, by name; each opener makes an empty one in a folder of its own."""

DURABLE = tuple(name for name in STORES if name not in {"memory", "timed"})
"""Stores that outlive their process."""


def records_of(*firsts: float) -> np.ndarray:
    """Records (R, 2) float32 that are told apart by their first number."""
    return np.array([[first, -first] for first in firsts], np.float32).reshape(-1, 2)


def append_of(account: str, expected: int, *firsts: float, label: int = 0) -> Append:
    """An append to a ledger of `account` under the geometry "g"."""
    return Append(LedgerKey(account, "g", label), expected, records_of(*firsts))
