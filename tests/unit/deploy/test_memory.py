"""The memory of a pod holds all that its settings let callers put into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from queen.cli.up.plan import settings_of
from queen.serving.edge.calls import MOST_STRANGERS_ARRIVING
from queen.serving.settings_sources import load_settings
from tests.unit.deploy.manifests import DEPLOYABLE, SERVICES, config_text, container

MIB = 2**20
AT_REST = {"inference": 300 * MIB, "sensitivity": 1200 * MIB, "perturber": 700 * MIB}
"""Memory without a call: a process and its bundle; of sensitivity the cached accounts, too."""
COPIES = 3
"""Times that a message in work is held: as received, as a tensor, in a micro-batch."""
WINDOW_BYTES = 64 * 2**10
"""Bytes of a call that gRPC holds before the call is read."""


def settings(service: str, folder: str, tmp_path: Path) -> Any:
    """Settings as the pod would load them from its file."""
    file = tmp_path / "config.yaml"
    file.write_text(config_text(service, folder))
    return load_settings(settings_of(service), ["--config", str(file)])


def needed(chosen: Any, at_rest: int) -> int:
    """Bytes that callers can make a service need."""
    half = chosen.max_bytes_in_flight // 2
    strangers = MOST_STRANGERS_ARRIVING * chosen.max_message_bytes
    windows = WINDOW_BYTES * chosen.max_calls
    return at_rest + half + COPIES * half + strangers + windows


@pytest.mark.parametrize("folder", DEPLOYABLE)
@pytest.mark.parametrize("service", SERVICES)
def test_memory_holds_what_callers_may_send(service: str, folder: str, tmp_path: Path) -> None:
    """The limit of the pod is above what the bounds of its settings add up to."""
    limit = container(service, folder)["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    available = int(limit.removesuffix("Gi")) * 1024 * MIB
    assert needed(settings(service, folder, tmp_path), AT_REST[service]) <= available
