"""The address of a Redis, read from its URL, and the client that connects to it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.credentials import CredentialProvider
from redis.retry import Retry

from queen.errors import ConfigError

SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")
Durability = Literal["none", "local", "replica"]
_PORT = 6379
_FORM = "redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]"


@dataclass(frozen=True)
class RedisOptions:
    """Settings of the connection to Redis; times are in seconds."""

    timeout_seconds: float = 0.5
    connect_timeout_seconds: float = 0.5
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    durability: Durability = "none"
    durability_timeout_seconds: float = 2.0
    breaker_failures: int = 5
    breaker_seconds: float = 1.0

    @property
    def reply_seconds(self) -> float:
        """Longest wait for a reply: that of an append includes the wait for the disk."""
        waits = self.durability != "none"
        return self.timeout_seconds + (self.durability_timeout_seconds if waits else 0.0)


@dataclass(frozen=True)
class RedisAddress:
    """The parts of a Redis URL."""

    nodes: tuple[tuple[str, int], ...]
    is_cluster: bool = False
    is_tls: bool = False
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Hosts and ports, for messages, without a credential."""
        return "Redis at " + ",".join(f"{host}:{port}" for host, port in self.nodes)


def is_url(state: str) -> bool:
    """Whether a `state` is a URL rather than a path; only Redis has a URL."""
    return "://" in state


def read_address(url: str, password_file: Path | None = None) -> RedisAddress:
    """The address in `url`; ConfigError, which never quotes the URL, for another form.

    The URL of a cluster may name several nodes, HOST:PORT,HOST:PORT. The password is that of
    the file if there is a file.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            "state: expected memory, the path of a SQLite file or the URL of a Redis "
            f"({', '.join(SCHEMES)}), got {parts.scheme}://..."
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"state: expected {_FORM}, got options behind it; use redis_* settings")
    is_cluster = parts.scheme.endswith("+cluster")
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = (unquote(piece) for piece in user.partition(":"))
    return RedisAddress(
        nodes=_nodes(hosts, is_cluster),
        is_cluster=is_cluster,
        is_tls=parts.scheme.startswith("rediss"),
        database=_database(parts.path, is_cluster),
        username=username or None,
        password=_password(password, password_file),
    )


def connect(address: RedisAddress, options: RedisOptions) -> Redis | RedisCluster:
    """A client. That of a cluster asks for the slots at once, and raises the library's errors.

    The client repeats no call: a call that timed out has used its time.
    """
    shared = {
        **_credentials(address, options),
        "socket_timeout": options.reply_seconds,
        "socket_connect_timeout": options.connect_timeout_seconds,
        "protocol": 2,
        **_tls(address, options),
    }
    never = Retry(NoBackoff(), 0)
    if not address.is_cluster:
        (host, port), database = address.nodes[0], address.database
        return Redis(host=host, port=port, db=database, retry=never, **shared)
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
        retry=never,
        # If a slot has no server, only the accounts of this slot must be out of reach.
        require_full_coverage=False,
        # Names from the URL stay valid when all their addresses have changed.
        dynamic_startup_nodes=False,
        **shared,
    )


class FilePassword(CredentialProvider):
    """The user, with the password that stands in a file when a connection is made.

    If the file cannot be read by then, the last password that could be read is shown.
    """

    def __init__(self, username: str | None, password: str | None, file: Path) -> None:
        self._username = username
        self._password = password
        self._file = file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """A password, or a user and a password, as Redis wants them."""
        with suppress(ConfigError):
            self._password = _password("", self._file)
        password = self._password or ""
        return (self._username, password) if self._username else (password,)


def _credentials(address: RedisAddress, options: RedisOptions) -> dict[str, Any]:
    if options.password_file is None:
        return {"username": address.username, "password": address.password}
    file = options.password_file
    return {"credential_provider": FilePassword(address.username, address.password, file)}


def _tls(address: RedisAddress, options: RedisOptions) -> dict[str, Any]:
    files = {
        "ssl_ca_certs": options.ca_file,
        "ssl_certfile": options.cert_file,
        "ssl_keyfile": options.key_file,
    }
    given = {name: file for name, file in files.items() if file is not None}
    if not address.is_tls:
        if given:
            raise ConfigError("state: expected rediss:// with a CA or a certificate, got redis://")
        return {}
    for file in given.values():
        if not file.is_file():
            raise ConfigError(f"{file}: expected a PEM file for Redis, got none")
    return {"ssl": True, "ssl_cert_reqs": "required"} | {
        name: str(file) for name, file in given.items()
    }


def _nodes(hosts: str, is_cluster: bool) -> tuple[tuple[str, int], ...]:
    nodes = hosts.split(",")
    if len(nodes) > 1 and not is_cluster:
        raise ConfigError("state: expected one Redis, got several; a cluster is redis+cluster://")
    return tuple(_node(node) for node in nodes)


def _node(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:@/\s]+))(?::(\d{1,5}))?", text)
    if match is None or int(match[3] or _PORT) > 65535:
        raise ConfigError(f"state: expected {_FORM}, got another form of host or port")
    return match[1] or match[2], int(match[3] or _PORT)


def _database(path: str, is_cluster: bool) -> int:
    text = path.removeprefix("/") or "0"
    if not text.isdecimal() or (is_cluster and text != "0"):
        raise ConfigError(
            "state: expected the number of a database behind the host, and none for a cluster"
        )
    return int(text)


def _password(given: str, file: Path | None) -> str | None:
    if file is None:
        return given or None
    if given:
        raise ConfigError(
            "state: expected a password in the URL or in redis_password_file, not both"
        )
    try:
        password = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: expected a password in a file, cannot read it") from error
    if not password:
        raise ConfigError(f"{file}: expected a password, got an empty file")
    return password
