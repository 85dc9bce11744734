"""How many connections a process lets in."""

from __future__ import annotations

from queen.serving.edge.descriptors import FEWEST_CONNECTIONS, KEPT, most_connections


def test_connections_leave_some_for_files() -> None:
    """Logs and stores open files however many callers there are."""
    assert most_connections(20_000) == 20_000 - KEPT
    assert most_connections(100) == FEWEST_CONNECTIONS
