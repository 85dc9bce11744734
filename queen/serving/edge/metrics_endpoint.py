"""The HTTP endpoint /metrics, bounded: few connections, each short, and none waits for another."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from queen.errors import ConfigError

MOST_CONNECTIONS = 8
"""Connections at once; the oldest is closed for a newcomer."""
CONNECTION_SECONDS = 5.0
"""Time from a connection's beginning to the end of its answer."""
MOST_REQUEST_BYTES = 8192
_PATHS = (b"/metrics", b"/")
_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"


class MetricsEndpoint:
    """Serves a registry on `address`; `port` 0 chooses a free port."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        try:
            self._server = _Server(registry, host, port)
        except OSError as error:
            raise ConfigError(
                f"cannot serve metrics on {host}:{port}: {error.strerror or error}; "
                "choose another --metrics-port, 0 for a free one or -1 for none"
            ) from error
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, without waiting for any caller."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._registry = registry
        self._open: deque[socket.socket] = deque()
        self._lock = threading.Lock()
        super().__init__((host, port), socketserver.BaseRequestHandler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's
        """Answer in a thread of its own; the oldest connection ends where there are too many."""
        with self._lock:
            oldest = self._open.popleft() if len(self._open) >= MOST_CONNECTIONS else None
            self._open.append(request)
        if oldest is not None:
            _close(oldest)
        threading.Thread(target=self._serve, args=(request,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a caller that goes away is no fault of the service."""

    def server_close(self) -> None:
        """Close the port and all connections."""
        super().server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _close(connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError, ValueError):
                self._answer(connection, monotonic() + CONNECTION_SECONDS)
        finally:
            with self._lock, suppress(ValueError):
                self._open.remove(connection)
            _close(connection)

    def _answer(self, connection: socket.socket, ends: float) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            connection.settimeout(ends - monotonic())
            part = connection.recv(4096)
            head += part
            if not part or len(head) > MOST_REQUEST_BYTES:
                return
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"} or path not in _PATHS:
            answer = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        else:
            body = generate_latest(self._registry)
            length = b"Content-Length: %d\r\n" % len(body)
            answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + _TYPE + length + b"\r\n"
            answer += body if method == b"GET" else b""
        connection.settimeout(ends - monotonic())
        connection.sendall(answer)


def _close(connection: socket.socket) -> None:
    # A shutdown first: it wakes the thread that reads from the connection.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
