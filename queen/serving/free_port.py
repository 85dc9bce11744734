"""Checks that a port is free, before a bundle is read or any state is touched."""

from __future__ import annotations

import socket

from queen.errors import ConfigError


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
