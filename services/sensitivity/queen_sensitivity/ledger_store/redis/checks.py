"""Checks of a Redis server before it gets any ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis import exceptions as redis_errors

from queen.errors import ConfigError, DependencyUnavailable
from queen.serving.logging import logger
from queen_sensitivity.ledger_store.redis.address import Durability, RedisAddress
from queen_sensitivity.ledger_store.redis.link import UNREACHABLE

_REFUSED = (redis_errors.AuthenticationError, redis_errors.AuthenticationWrongNumberOfArgsError)


def require_sound(server: Redis, durability: Durability) -> None:
    """Raises ConfigError for a server that evicts, or cannot keep the durability asked for.

    Warns of a server without an append-only file: its records end with it.
    """
    policy = _eviction_policy(server)
    if policy != "noeviction":
        raise ConfigError(
            f"expected a Redis with maxmemory-policy noeviction, got {policy}: an evicted ledger "
            "hands its account the budget back; set it, and give Redis memory enough"
        )
    # Managed services hide the field, and document their durability elsewhere.
    has_file = _info(server, "persistence").get("aof_enabled", 1)
    if durability != "none":
        _require_durability(server, durability, bool(has_file))
    elif not has_file:
        logger("ledger_store").warning(
            "Redis has appendonly off: records since its last snapshot end with it"
        )


@contextmanager
def opening(address: RedisAddress) -> Iterator[None]:
    """Errors of the first contact as a sentence with the address, and without a credential."""
    try:
        yield
    except _REFUSED as error:
        raise ConfigError(
            f"{address} refused the credentials ({type(error).__name__}); correct the user and "
            "the password in the URL or in redis_password_file"
        ) from None
    except redis_errors.NoPermissionError:
        raise ConfigError(
            f"{address}: the user lacks a permission; docs/operations.md lists the commands"
        ) from None
    except (*UNREACHABLE, redis_errors.RedisError) as error:
        raise DependencyUnavailable(
            f"{address} did not answer ({type(error).__name__}); start it, or correct state"
        ) from None


def _eviction_policy(server: Redis) -> str:
    try:
        reply: Any = server.execute_command("CONFIG GET", "maxmemory-policy")
        settings = reply if isinstance(reply, dict) else {}
        policy = settings.get("maxmemory-policy", settings.get(b"maxmemory-policy"))
    except redis_errors.ResponseError:
        # Managed services forbid CONFIG.
        policy = None
    policy = policy or _info(server, "memory").get("maxmemory_policy")
    if not policy:
        raise ConfigError(
            "expected Redis to tell its maxmemory-policy, got nothing: allow its user INFO"
        )
    return policy.decode() if isinstance(policy, bytes) else str(policy)


def _info(server: Redis, section: str) -> dict[str, Any]:
    try:
        reply: Any = server.info(section)
    except redis_errors.ResponseError:
        return {}
    return dict(reply)


def _require_durability(server: Redis, durability: Durability, has_file: bool) -> None:
    if not has_file:
        raise ConfigError(f"redis_durability {durability}: expected a Redis with appendonly yes")
    try:
        server.execute_command("WAITAOF", 0, 0, 1)
    except redis_errors.ResponseError as error:
        raise ConfigError(
            f"redis_durability {durability}: expected a server that knows WAITAOF (Redis 7.2, "
            "Valkey) and lets its user call it"
        ) from error
