"""The front door with two real sensitivity replicas over one real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import structlog
from queen_inference.peers.rendezvous import Rendezvous

from queen.decision_line import DECISION
from queen.serving.logging import account_hash
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, write_accounts
from tests.redis_servers import redis_server
from tests.service_process import ServiceProcess, running_service
from tests.waiting import until

SENSITIVITY = "queen.api.v1.SensitivityService"
LONERS = [f"loner{index}" for index in range(20)]
TEAM = ["one", "two", "three"]
ROWS = 7
"""Queries of a request."""


@dataclass
class Replicas:
    """Two replicas of one bundle."""

    small: SmallBundle
    processes: list[ServiceProcess]

    @property
    def target(self) -> str:
        """The setting sensitivity_target for both replicas."""
        return ",".join(process.address for process in self.processes)

    def home(self, name: str) -> ServiceProcess:
        """Where an account belongs."""
        owner = "group team" if name in TEAM else name
        at = {process.address: process for process in self.processes}
        return at[Rendezvous(at).choose(owner, at)]

    def living_at(self, process: ServiceProcess) -> list[str]:
        """Accounts that belong there, at least one of them."""
        names = [name for name in LONERS if self.home(name) is process]
        assert names
        return names


def assessed_rows(process: ServiceProcess) -> float:
    """Queries that a replica has given verdicts on."""
    return process.metric("queen_decisions_total")


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """The replicas as processes."""
    folder = Path(tmp_path_factory.mktemp("replicas"))
    small = make_bundle(folder / "b", samples=800)
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder / "redis"))
        settings = {"bundle": small.path, "state": redis.url, "admin_port": 0}
        processes = [
            stack.enter_context(
                running_service("sensitivity", folder, name=f"replica-{index}", **settings)
            )
            for index in range(2)
        ]
        yield Replicas(small, processes)


@pytest.fixture(autouse=True)
def both_run(replicas: Replicas) -> None:
    """A test that fails while a replica is dead fails alone."""
    for process in replicas.processes:
        if not process.is_running:
            process.start()


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Accounts of their own and accounts of a group; none is ever flagged."""
    policies = dict.fromkeys(LONERS, "profile: safe") | dict.fromkeys(
        TEAM, "group: team, profile: safe"
    )
    return write_accounts(tmp_path, **policies)


@pytest_asyncio.fixture
async def door(replicas: Replicas, accounts: Path) -> AsyncIterator[Door]:
    """A door to both."""
    # A busy machine must not look like a replica that is away.
    settings = {"assess_timeout_seconds": 10.0, "probe_seconds": 2.0, "decision_log": "all"}
    async with open_door(
        replicas.small, accounts, sensitivity_target=replicas.target, **settings
    ) as opened:
        await until(lambda: endpoints(opened, "up") == 2)
        yield opened


def endpoints(door: Door, state: str) -> float:
    """Number of endpoints that the door has in a state."""
    return door.metric("queen_sensitivity_endpoints", state=state)


def is_protected(answers: np.ndarray) -> bool:
    """Whether answers are those of a failure mode."""
    return bool(np.isclose(answers.max(axis=1), 0.9, rtol=1e-6).all())


async def ask_all(door: Door, small: SmallBundle, names: list[str], start: int) -> list[Any]:
    """The answers to some rows, asked by all accounts at once."""
    rows = small.inputs[start : start + ROWS]
    return list(await asyncio.gather(*(door.client.ask(rows, name) for name in names)))


async def test_the_rows_of_an_owner_go_to_one_replica(door: Door, replicas: Replicas) -> None:
    """In every batch, and accounts of a group go together."""
    names = [*LONERS, *TEAM]
    before = [assessed_rows(process) for process in replicas.processes]
    for start in (0, 100, 200):
        await ask_all(door, replicas.small, names, start)
    for process, so_far in zip(replicas.processes, before, strict=True):
        mine = [name for name in names if replicas.home(name) is process]
        assert mine
        assert assessed_rows(process) - so_far == 3 * ROWS * len(mine)
    assert endpoints(door, "known") == 2
    assert door.metric("queen_failure_mode_total", mode="protect") == 0


async def test_a_killed_replica_costs_no_verdict_and_gets_its_accounts_back(
    door: Door, replicas: Replicas
) -> None:
    """The other replica continues its ledgers; once it is back, so are its accounts."""
    small, lost = replicas.small, replicas.processes[0]
    names = replicas.living_at(lost)
    stop, answered = asyncio.Event(), [0]

    async def keep_asking(name: str) -> None:
        for start in cycle(range(90)):
            if stop.is_set():
                return
            answers = await door.client.ask(small.inputs[start : start + 3], name)
            assert not is_protected(answers)
            answered[0] += 1

    with structlog.testing.capture_logs() as lines:
        await door.client.ask(small.inputs[300:400], names[0])
        traffic = [asyncio.create_task(keep_asking(name)) for name in LONERS]
        await until(lambda: answered[0] > 50)
        so_far = answered[0]
        lost.kill()
        await until(lambda: answered[0] > so_far + 100 or any(task.done() for task in traffic))
        assert endpoints(door, "up") == 1
        assert door.metric("queen_dependency_up", dependency="sensitivity") == 1
        stop.set()
        await asyncio.gather(*traffic)
        await door.client.ask(small.inputs[400:500], names[0])
        # Records are written a while after the answers, those of an account in their order.
        await until(lambda: [line["rows"] for line in records_of(names[0], lines)].count(100) == 2)
    assert door.metric("queen_failure_mode_total", mode="protect") == 0
    assert door.metric("queen_decisions_total", decision="unassessed") == 0
    *before, after = records_of(names[0], lines)
    assert_continues(before, after)

    await asyncio.to_thread(lost.start)
    await until(lambda: endpoints(door, "up") == 2)
    await ask_all(door, small, LONERS, 500)
    assert assessed_rows(lost) == ROWS * len(names)


def records_of(name: str, lines: list[Any]) -> list[Any]:
    """The decision records of an account among the lines of a log."""
    return [
        line
        for line in lines
        if line.get("account_hash") == account_hash(name) and line["event"] == DECISION
    ]


def assert_continues(before: list[Any], after: Any) -> None:
    """The first cqs of each class afterwards is the last one of before, and some are not zero."""
    last: dict[int, float] = {}
    first: dict[int, float] = {}
    for record in before:
        last |= dict(zip(record["class"], record["cqs_after"], strict=True))
    for label, cqs in zip(after["class"], after["cqs_before"], strict=True):
        first.setdefault(label, cqs)
    assert any(last.values())
    assert {label: last[label] for label in first} == first


async def test_a_replica_that_hangs_costs_its_own_accounts_their_verdicts(
    replicas: Replicas, accounts: Path
) -> None:
    """The others of the same micro-batch keep theirs; no other replica is asked instead."""
    hung, other = replicas.processes
    settings = {"probe_seconds": 60.0, "assess_timeout_seconds": 1.0}
    async with open_door(
        replicas.small, accounts, sensitivity_target=replicas.target, **settings
    ) as door:
        assert endpoints(door, "up") == 2
        await ask_all(door, replicas.small, LONERS, 0)
        hung.freeze()
        try:
            answers = await ask_all(door, replicas.small, LONERS, 600)
        finally:
            hung.thaw()
        protected = [
            name for name, answer in zip(LONERS, answers, strict=True) if is_protected(answer)
        ]
        assert protected == replicas.living_at(hung)
        assert replicas.living_at(other)
        assert door.metric("queen_failure_mode_total", mode="protect") == len(protected)
        rows = ROWS * len(protected)
        assert door.metric("queen_decisions_total", decision="unassessed") == rows
        assert door.metric("queen_sensitivity_failovers_total") == 0


async def test_without_verdicts_deny_refuses_those_requests_alone(
    replicas: Replicas, accounts: Path
) -> None:
    """The failure mode is a request's own."""
    hung = replicas.processes[0]
    settings = {"probe_seconds": 60.0, "assess_timeout_seconds": 1.0, "failure_mode": "deny"}
    async with open_door(
        replicas.small, accounts, sensitivity_target=replicas.target, **settings
    ) as door:
        # The probes of the start must be answered before: a probe that hangs retires the replica.
        await ask_all(door, replicas.small, LONERS, 0)
        hung.freeze()
        try:
            rows = replicas.small.inputs[:ROWS]
            asked = (door.client.ask(rows, name) for name in LONERS)
            results = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            hung.thaw()
        denied = [
            name
            for name, result in zip(LONERS, results, strict=True)
            if isinstance(result, Exception)
        ]
        assert denied == replicas.living_at(hung)


async def test_a_name_is_resolved(replicas: Replicas, accounts: Path) -> None:
    """A name of this machine leads to its replica."""
    target = f"dns:///localhost:{replicas.processes[0].port}"
    async with open_door(replicas.small, accounts, sensitivity_target=target) as door:
        await door.until_serving(SENSITIVITY, serving=True)
        answers = await door.client.ask(replicas.small.inputs[:ROWS], LONERS[0])
        assert not is_protected(answers)
        assert endpoints(door, "up") == 1


async def test_a_name_that_does_not_resolve_is_a_peer_out_of_reach(
    replicas: Replicas, accounts: Path
) -> None:
    """Alone it leaves the failure mode; beside a replica it costs nothing."""
    nobody = "queen-sensitivity.invalid:8101"
    rows = replicas.small.inputs[:ROWS]
    async with open_door(replicas.small, accounts, sensitivity_target=nobody) as door:
        assert is_protected(await door.client.ask(rows, LONERS[0]))
        assert endpoints(door, "known") == endpoints(door, "up") == 0
        assert door.metric("queen_dependency_up", dependency="sensitivity") == 0
    beside = f"{nobody},{replicas.processes[0].address}"
    async with open_door(replicas.small, accounts, sensitivity_target=beside) as door:
        await door.until_serving(SENSITIVITY, serving=True)
        for name in LONERS:
            assert not is_protected(await door.client.ask(rows, name))
        assert endpoints(door, "known") == endpoints(door, "up") == 1
