"""How many connections a process lets in: as many as leave some descriptors for its files."""

from __future__ import annotations

KEPT = 256
"""Descriptors that connections leave for logs, stores, peers and probes."""
FEWEST_CONNECTIONS = 64


def most_connections(descriptors: int) -> int:
    """Connections that a port may have, of a process with so many descriptors."""
    return max(FEWEST_CONNECTIONS, descriptors - KEPT)
