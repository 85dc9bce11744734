"""A thief in a hurry at a front door whose verdicts are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import hurried
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget
from queen.redteam.targets.endpoint import EndpointTarget
from tests.bundles import SmallBundle, make_bundle
from tests.chaos.proxy import FaultProxy, Faults, ProxyLoop
from tests.integration.inference.door import open_door, write_accounts
from tests.service_process import running_service

CLASSES, QUERIES = 4, 480
ROUND_TRIP_SECONDS = 0.4


@dataclass
class Slow:
    """A bundle, and its sensitivity service far away."""

    small: SmallBundle
    target: str


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    """Verdicts are two fifths of a second on their way."""
    folder = Path(tmp_path_factory.mktemp("slow"))
    small = make_bundle(folder / "b", samples=800)
    settings = {"bundle": small.path, "state": "memory", "admin_port": 0}
    with ProxyLoop() as loop, running_service("sensitivity", folder, **settings) as process:
        proxy = FaultProxy(loop, process.port)
        proxy.set(Faults(delay_seconds=ROUND_TRIP_SECONDS / 2))
        yield Slow(small, f"127.0.0.1:{proxy.port}")
        proxy.close()


@dataclass
class Student:
    """Trains nothing, and keeps its lessons."""

    queries: list[Images] = field(default_factory=list)
    targets: list[Answers] = field(default_factory=list)

    def __call__(self, queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        """Keep the queries and the targets."""
        assert salt == 0
        self.queries.append(queries)
        self.targets.append(targets)
        return nn.Identity()


async def steal_from(slow: Slow, folder: Path, patience: float) -> tuple[Student, float]:
    """The lessons of a hurried thief, and the front door's answers by the failure mode."""
    student = Student()
    pool = slow.small.inputs[:QUERIES]
    thief = Thief("small", pool, QUERIES, 0, 1, student, refuse_to_simulate)
    settings = {"assess_patience_seconds": patience, "assess_timeout_seconds": 10.0}
    # Under `safe` nothing depends on the perturber, which is nowhere.
    accounts = write_accounts(folder, alice="profile: safe")
    async with open_door(
        slow.small, accounts, sensitivity_target=slow.target, probe_seconds=5.0, **settings
    ) as door:
        address = door.process.addresses["address"]
        await asyncio.to_thread(rob, address, thief)
        return student, door.metric("queen_failure_mode_total", mode="protect")


def rob(address: str, thief: Thief) -> None:
    """Carry the attack out."""
    with EndpointTarget(address, ["key-of-alice"]) as target:
        hurried.steal(MeteredTarget(target, QUERIES), thief)


def refuse_to_simulate(_model: nn.Module, _images: Images) -> Simulation:
    """Fail: this thief does not know the recipe."""
    raise AssertionError


async def test_without_patience_a_deadline_buys_labels(slow: Slow, tmp_path: Path) -> None:
    """The attack works on a front door that lets it: it finds the bare labels and learns them."""
    student, by_failure_mode = await steal_from(slow, tmp_path, patience=0.0)
    (targets,) = student.targets
    bought = targets[prefix_length(QUERIES, CLASSES) :]
    assert by_failure_mode > 0
    assert len(bought) >= 64
    assert (np.sort(bought, axis=1) == [0.0, 0.0, 0.0, 1.0]).all()


async def test_with_patience_it_buys_nothing(slow: Slow, tmp_path: Path) -> None:
    """Every answer follows from a verdict."""
    student, by_failure_mode = await steal_from(slow, tmp_path, patience=5.0)
    (targets,) = student.targets
    assert by_failure_mode == 0
    assert not hurried.is_label_only(targets).any()
    assert len(targets) < QUERIES
