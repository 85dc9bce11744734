"""The objects that the settings of a front door choose."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from queen_inference.peers.perturber import PERTURBER
from queen_inference.peers.sensitivity import SENSITIVITY
from queen_inference.servicer import INFERENCE
from queen_inference.settings import InferenceSettings
from queen_inference.wiring import open_service

from queen.errors import ConfigError
from queen.serving.auth import key_digest
from queen.serving.health import Health
from queen.serving.metrics import Metrics
from queen.serving.shell import Shell
from tests.bundles import SmallBundle
from tests.unit.inference.conftest import Counted

NOWHERE = "127.0.0.1:1"
ENDPOINTS = "queen_sensitivity_endpoints"


def settings_of(small: SmallBundle, folder: Path, **changes: Any) -> InferenceSettings:
    """Settings of a door whose peers are nowhere."""
    accounts = folder / "accounts.yaml"
    accounts.write_text("accounts: []\n")
    fields: dict[str, Any] = {
        "bundle": small.path,
        "accounts": accounts,
        "sensitivity_target": NOWHERE,
        "perturber_target": NOWHERE,
        "probe_seconds": 0.1,
        **changes,
    }
    return InferenceSettings(**fields)


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, 1),
        ({"sensitivity_target": "127.0.0.1:1,127.0.0.1:2"}, 2),
        ({"sensitivity_target": "localhost:1"}, 1),
    ],
    ids=["address", "list", "name"],
)
async def test_the_target_decides_how_many_endpoints_there_are(
    small: SmallBundle,
    tmp_path: Path,
    registry: Metrics,
    counted: Counted,
    changes: dict[str, Any],
    known: int,
) -> None:
    """Whether they are routed to or not, the gauges tell them."""
    shell = Shell(registry, Health())
    async with open_service(settings_of(small, tmp_path, **changes), shell) as (offer,):
        assert offer.name == INFERENCE
        assert counted(ENDPOINTS, state="known") == known
        assert counted(ENDPOINTS, state="up") == 0


@pytest.mark.parametrize(
    ("target", "known"),
    [
        (NOWHERE, [NOWHERE]),
        ("dns:///127.0.0.1:1", [NOWHERE]),
        ("127.0.0.1:1,127.0.0.1:2", [NOWHERE, "127.0.0.1:2"]),
    ],
)
async def test_the_log_names_the_endpoints_behind_the_target(
    small: SmallBundle, tmp_path: Path, registry: Metrics, target: str, known: list[str]
) -> None:
    """However many there are."""
    settings = settings_of(small, tmp_path, sensitivity_target=target)
    with structlog.testing.capture_logs() as lines:
        async with open_service(settings, Shell(registry, Health())):
            pass
    said = [line for line in lines if line["event"] == "endpoints"]
    assert [(line["logger"], line["peer"], line["known"]) for line in said] == [
        ("peer", PERTURBER, [NOWHERE]),
        ("peer", SENSITIVITY, known),
    ]


async def test_a_budget_without_room_is_refused_by_file_and_entry(
    small: SmallBundle, tmp_path: Path, registry: Metrics
) -> None:
    """The sentence says where to mend it, and names no account."""
    settings = settings_of(small, tmp_path)
    entry = f"{{id: alice, key_sha256: {key_digest('one')}, budget: {2**32 - 1}}}"
    settings.accounts.write_text(f"accounts: [{entry}]\n")
    with pytest.raises(ConfigError, match=r"accounts\.yaml: entry 1, budget") as caught:
        async with open_service(settings, Shell(registry, Health())):
            raise AssertionError("opened")
    assert "alice" not in str(caught.value)


@pytest.mark.parametrize(("mode", "is_gated"), [("protect", False), ("deny", True)])
async def test_only_deny_makes_readiness_follow_the_peers(
    small: SmallBundle, tmp_path: Path, registry: Metrics, mode: str, is_gated: bool
) -> None:
    """Otherwise the failure mode answers without them."""
    shell = Shell(registry, Health())
    async with open_service(settings_of(small, tmp_path, failure_mode=mode), shell) as offers:
        shell.health.begin([offer.name for offer in offers])
        assert shell.health.is_serving(INFERENCE) is not is_gated


async def test_the_decision_log_has_its_file_only_if_it_is_on(
    small: SmallBundle, tmp_path: Path, registry: Metrics
) -> None:
    """A file that nothing will be written to is not made."""
    log = tmp_path / "decisions.jsonl"
    off = settings_of(small, tmp_path, decision_log="off", decision_log_file=log)
    async with open_service(off, Shell(registry, Health())):
        assert not log.exists()
    async with open_service(
        settings_of(small, tmp_path, decision_log_file=log), Shell(Metrics(), Health())
    ):
        assert log.exists()


async def test_nothing_is_left_open_if_the_start_fails(
    small: SmallBundle, tmp_path: Path, registry: Metrics
) -> None:
    """Neither a task nor a thread of its own."""
    before = asyncio.all_tasks()
    missing = settings_of(small, tmp_path, decision_log_file=tmp_path / "none" / "log")
    with pytest.raises(ConfigError, match="cannot be written"):
        async with open_service(missing, Shell(registry, Health())):
            raise AssertionError("opened")
    assert asyncio.all_tasks() == before
