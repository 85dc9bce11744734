"""/metrics over real sockets, and callers who hold on to it."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from collections.abc import Iterator

import pytest

from queen.errors import ConfigError
from queen.serving.edge.metrics_endpoint import MOST_CONNECTIONS, MetricsEndpoint
from queen.serving.metrics import Metrics


@pytest.fixture
def endpoint() -> Iterator[MetricsEndpoint]:
    """An endpoint on a free port."""
    served = MetricsEndpoint(Metrics().registry, "127.0.0.1", 0)
    yield served
    served.close()


def connect(endpoint: MetricsEndpoint) -> socket.socket:
    """A connection that says nothing."""
    host, _, port = endpoint.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def read(endpoint: MetricsEndpoint) -> bytes:
    """The metrics."""
    with urllib.request.urlopen(f"http://{endpoint.address}/metrics") as response:
        body: bytes = response.read()
    return body


def test_the_endpoint_serves_until_it_is_closed() -> None:
    """On a free port that its address names; a port in use is a sentence."""
    endpoint = MetricsEndpoint(Metrics().registry, "127.0.0.1", 0)
    assert b"queen_build_info" in read(endpoint)
    port = int(endpoint.address.rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*another --metrics-port"):
        MetricsEndpoint(Metrics().registry, "127.0.0.1", port)
    endpoint.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_silent_callers_hold_nobody_up(endpoint: MetricsEndpoint) -> None:
    """A newcomer is served, and the oldest of too many is closed."""
    silent = [connect(endpoint) for _ in range(3 * MOST_CONNECTIONS)]
    assert b"queen_build_info" in read(endpoint)
    assert silent[0].recv(1) == b""
    for connection in silent:
        connection.close()


def test_an_endless_request_is_cut(endpoint: MetricsEndpoint) -> None:
    """Its connection ends once it has sent too much."""
    connection = connect(endpoint)
    endless = b"GET /metrics HTTP/1.1\r\n" * 1_000_000
    with pytest.raises(ConnectionError):
        connection.sendall(endless)
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/secrets", 404), ("POST", "/metrics", 404)]
)
def test_there_is_nothing_but_the_metrics(
    endpoint: MetricsEndpoint, method: str, path: str, status: int
) -> None:
    """Other paths and methods do not exist."""
    client = http.client.HTTPConnection(endpoint.address)
    client.request(method, path)
    assert client.getresponse().status == status
    client.close()
