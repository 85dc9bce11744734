"""Queries sent as an account would, and reversals read from the metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from queen.demo.traffic import DecisionMeter, Traffic
from queen.errors import DependencyUnavailable


@contextmanager
def metrics_page(text: str) -> Iterator[str]:
    """The address of a /metrics page with this text."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The text."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_args: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_reversals_are_read_from_the_metrics() -> None:
    """Of all decisions only those."""
    text = (
        "# TYPE queen_decisions counter\n"
        'queen_crossings_total{profile="reverse"} 3\n'
        'queen_decisions_total{decision="preserve"} 40\n'
        'queen_decisions_total{decision="reverse"} 7\n'
    )
    with metrics_page(text) as address:
        assert DecisionMeter(address).reversed() == 7


def test_a_page_without_decisions_is_an_error() -> None:
    """A wrong port must not look like a defense that does nothing."""
    with (
        metrics_page("") as address,
        pytest.raises(DependencyUnavailable, match="queen_decisions_total"),
    ):
        DecisionMeter(address).reversed()


def test_the_clean_prefix_ends_at_the_first_reversal_or_refusal() -> None:
    """Reversals are a running count; a refused query has no answer."""
    traffic = Traffic(np.zeros((5, 2), np.float32), np.array([0, 0, 0, 1, 2]))
    assert (traffic.clean_prefix, traffic.reversed) == (3, 2)
    traffic.answers[2] = np.nan
    assert (traffic.clean_prefix, traffic.reversed) == (2, 3)
    assert Traffic(np.zeros((4, 2), np.float32), np.zeros(4, np.int64)).clean_prefix == 4
