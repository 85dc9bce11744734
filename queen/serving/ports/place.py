"""The place where a server listens: a host and a port, or a Unix socket."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from queen.errors import ConfigError
from queen.serving.edge.grpc_server import GrpcServer

LONGEST_SOCKET = 107
"""Bytes of the longest path of a Unix socket on Linux."""
UNIX = "unix:"
"""Scheme of the gRPC target of a Unix socket."""


@dataclass(frozen=True)
class Place:
    """A host and a port, 0 for a free one, or the path of a Unix socket; `flag` sets it."""

    host: str
    port: int
    flag: str
    socket: Path | None = None

    def require_free(self) -> None:
        """ConfigError, with the system's reason, if nothing can listen here."""
        if self.socket is None:
            require_free(self.host, self.port, self.flag)
        else:
            require_free_socket(self.socket)

    def bind(self, server: GrpcServer, credentials: grpc.ServerCredentials | None) -> str:
        """Have a server listen here; its address, HOST:PORT or unix:PATH.

        A socket is made for the user of this process only. Raises ConfigError if the place is in
        use.
        """
        target = f"{UNIX}{self.socket}" if self.socket else f"{_bracketed(self.host)}:{self.port}"
        try:
            with _private_files() if self.socket else _as_before():
                port = (
                    server.add_secure_port(target, credentials)
                    if credentials
                    else server.add_insecure_port(target)
                )
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {target}: it is in use, or not an address of this machine; "
                f"stop what listens there or choose another {self.flag} (0 for a free port)"
            ) from error
        return target if self.socket else f"{_bracketed(self.host)}:{port}"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def require_free(host: str, port: int, flag: str) -> None:
    """ConfigError, naming `flag` and the system's reason, if host:port cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            # gRPC sets this option as well: a connection that is closing does not hold the port.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; "
            f"stop what listens there or choose another --host or {flag} (0 for a free port)"
        ) from error


def require_free_socket(path: Path) -> None:
    """ConfigError if no socket can be made at `path`, or another process listens there.

    gRPC removes a socket that exists, even under a process that listens on it.
    """
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise ConfigError(
            f"socket {path}: expected a path of at most {LONGEST_SOCKET} bytes, got "
            f"{len(os.fsencode(path))}; choose a shorter folder"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"socket {path}: its folder is missing; make it, with mode 0700")
    if path.exists() and not path.is_socket():
        raise ConfigError(f"socket {path}: expected a free name or a socket, got another file")
    if listens_at(path):
        raise ConfigError(f"socket {path}: another process listens there; stop it")


def listens_at(path: Path) -> bool:
    """Whether a process listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@contextmanager
def _private_files() -> Iterator[None]:
    """Files that are made in the block belong to this user alone."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _as_before() -> Iterator[None]:
    yield
