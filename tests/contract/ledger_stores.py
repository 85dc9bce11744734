"""The stores that the conformance suite holds to their contract, and what it builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from queen_sensitivity.ledger_store import (
    Append,
    LedgerKey,
    LedgerStore,
    MemoryLedgerStore,
    RedisLedgerStore,
    RedisOptions,
    SqliteLedgerStore,
)

from tests.redis_servers import RedisServer, redis_binary, valkey_binary

OpenStore = Callable[[Path], LedgerStore]


class OwnedRedisStore(RedisLedgerStore):
    """A store with a server of its own, which ends with it and leaves its files."""

    def __init__(self, folder: Path, binary: str, options: RedisOptions) -> None:
        self.server = RedisServer(folder, binary=binary)
        try:
            super().__init__(self.server.url, options)
        except BaseException:
            self.server.stop()
            raise

    def close(self) -> None:
        """Close the connections, then end the server the hard way."""
        super().close()
        self.server.kill()


PATIENT = RedisOptions(timeout_seconds=10.0, connect_timeout_seconds=10.0)
"""Waits that a busy machine does not reach."""
STRICT = RedisOptions(timeout_seconds=10.0, durability="local", durability_timeout_seconds=10.0)

PERMISSIONS = (
    *("+llen", "+lrange", "+rpush", "+sadd", "+smembers", "+exists", "+zadd", "+zrangebylex"),
    *("+hget", "+hset", "+hsetnx", "+hkeys", "+del", "+zrem"),
    *("+evalsha", "+eval", "+info", "+config|get"),
)
"""What docs/operations.md lists, for a server alone and without strict durability."""

STORES: dict[str, OpenStore] = {
    "memory": lambda _: MemoryLedgerStore(),
    "sqlite-full": lambda folder: SqliteLedgerStore(folder / "ledger.sqlite3"),
    "sqlite-normal": lambda folder: SqliteLedgerStore(folder / "ledger.sqlite3", "normal"),
    "redis": lambda folder: OwnedRedisStore(folder, redis_binary(), PATIENT),
    "valkey-strict": lambda folder: OwnedRedisStore(folder, valkey_binary(), STRICT),
}
"""Every store, by name; each opener makes an empty one in a folder of its own."""

DURABLE = tuple(name for name in STORES if name != "memory")
"""Those that outlive their process."""


def records_of(*firsts: float) -> np.ndarray:
    """Records (R, 2) float32 that are told apart by their first number."""
    return np.array([[first, -first] for first in firsts], np.float32).reshape(-1, 2)


def append_of(account: str, expected: int, *firsts: float, label: int = 0) -> Append:
    """An append to a ledger of `account` under the geometry "g"."""
    return Append(LedgerKey(account, "g", label), expected, records_of(*firsts))
