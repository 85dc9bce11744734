"""Redis servers that get no ledger, and how the refusal reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from queen_sensitivity.ledger_store import (
    open_redis_store,
)

from queen.errors import ConfigError, DependencyUnavailable
from tests.contract.ledger_stores import PATIENT, STRICT
from tests.redis_servers import redis_server, valkey_binary

SECRET = "s3cret-of-the-test"  # noqa: S105 - of a server that ends with its test
ANYBODY = ("default", "on", "nopass", "~*", "+@all")


@pytest.mark.parametrize("user", [(), ("--user", *ANYBODY, "-config")])
def test_a_server_that_evicts_is_refused(tmp_path: Path, user: tuple[str, ...]) -> None:
    """An evicting policy is seen at the start, whether the user may call CONFIG or not."""
    words = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", *user)
    with (
        redis_server(tmp_path, *words) as server,
        pytest.raises(ConfigError, match="noeviction, got allkeys-lru"),
    ):
        open_redis_store(server.url, PATIENT)


def test_a_server_that_forbids_config_is_checked_by_its_info(tmp_path: Path) -> None:
    """Managed services allow INFO and forbid CONFIG."""
    with redis_server(tmp_path, "--user", *ANYBODY, "-config") as server:
        open_redis_store(server.url, PATIENT).close()


@pytest.mark.parametrize(
    "url", ["redis://{}@", "redis://:wrong-{}@", "redis://who:{}@", "redis://"]
)
def test_wrong_credentials_are_a_sentence_without_them(tmp_path: Path, url: str) -> None:
    """The operator reads where and why, and never a password."""
    with redis_server(tmp_path, "--requirepass", SECRET) as server:
        given = server.url.replace("redis://", url.format(SECRET))
        with pytest.raises(ConfigError, match="refused the credentials") as refusal:
            open_redis_store(given, PATIENT)
        assert str(server.port) in str(refusal.value)
        assert SECRET not in str(refusal.value)
        assert refusal.value.__suppress_context__


def test_no_server_is_a_sentence(tmp_path: Path) -> None:
    """The sentence names the address at which nothing listens."""
    with redis_server(tmp_path) as server:
        server.kill()
        with pytest.raises(DependencyUnavailable, match=f"{server.port} did not answer"):
            open_redis_store(server.url, PATIENT)


def test_a_server_without_an_append_only_file_is_warned_of(tmp_path: Path) -> None:
    """It is the operator's choice, so the store opens with a warning."""
    with (
        redis_server(tmp_path, "--appendonly", "no") as server,
        structlog.testing.capture_logs() as lines,
    ):
        open_redis_store(server.url, PATIENT).close()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "appendonly off" in lines[0]["event"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--appendonly", "no"), "appendonly yes"),
        (("--user", *ANYBODY, "-waitaof"), "WAITAOF"),
    ],
)
def test_strict_durability_that_the_server_cannot_keep_is_refused(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """The refusal comes at the start, and not at the first append."""
    with (
        redis_server(tmp_path, *words, binary=valkey_binary()) as server,
        pytest.raises(ConfigError, match=message),
    ):
        open_redis_store(server.url, STRICT)
