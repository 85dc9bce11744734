"""The memory of a pod holds all that its settings let callers put into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from queen.serving.edge.calls import MOST_STRANGERS_ARRIVING
from queen.serving.edge.header_count import MOST_FIELDS
from queen.serving.edge.turns import MOST_WAITING
from tests.unit.deploy.manifests import DEPLOYABLE, SERVICES, container
from tests.unit.deploy.test_settings import effective

MIB = 2**20
UNITS = {"Mi": MIB, "Gi": 1024 * MIB}
AT_REST = {"inference": 300 * MIB, "sensitivity": 150 * MIB, "perturber": 700 * MIB}
"""Memory without a call: a process and its bundle."""
ACCOUNT_BYTES = 2**30 // 10_000
"""Memory of an account of sensitivity that has spent ten classes."""
COPIES = 3
"""Times that a message in work is held: as received, as a tensor, in a micro-batch."""
WINDOW_BYTES = 64 * 2**10
"""Bytes of a call that gRPC holds before the call is read."""

CONNECTION_BYTES = 67 * 10**3
"""Memory of a connection over TLS on which nothing is asked."""
HEADER_BYTES = 16 * 2**10 + 160 * MOST_FIELDS
"""Memory of the header fields of a call that waits: their text, and gRPC's entry of each."""


def needed(chosen: Any, at_rest: int) -> int:
    """Bytes that callers can make a service need."""
    half = chosen.max_bytes_in_flight // 2
    strangers = MOST_STRANGERS_ARRIVING * chosen.max_message_bytes
    windows = WINDOW_BYTES * chosen.max_calls
    accounts = ACCOUNT_BYTES * getattr(chosen, "cached_accounts", 0)
    connections = CONNECTION_BYTES * chosen.max_connections
    headers = HEADER_BYTES * MOST_WAITING
    calls = half + COPIES * half + strangers + windows
    return at_rest + accounts + calls + connections + headers


@pytest.mark.parametrize("folder", DEPLOYABLE)
@pytest.mark.parametrize("service", SERVICES)
def test_memory_holds_what_callers_may_send(
    service: str, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The limit of the pod is above what the bounds of its settings add up to."""
    chosen = effective(service, folder, monkeypatch, tmp_path)
    limit = container(service, folder)["resources"]["limits"]["memory"]
    available = int(limit[:-2]) * UNITS[limit[-2:]]
    assert needed(chosen, AT_REST[service]) <= available
