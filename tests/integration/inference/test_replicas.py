"""The front door with two real sensitivity replicas over one real Redis."""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import structlog
from prometheus_client.parser import text_string_to_metric_families
from queen_inference.peers.rendezvous import Rendezvous

from queen.serving.logging import account_hash
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Child, Door, open_door, write_accounts
from tests.redis_servers import redis_server

SENSITIVITY = "queen.api.v1.SensitivityService"
LONERS = [f"loner{number}" for number in range(20)]
TEAM = ["one", "two", "three"]
ROWS = 7
"""Queries of a request."""


@dataclass
class Replicas:
    """Two replicas of one bundle."""

    small: SmallBundle
    children: list[Child]

    @property
    def target(self) -> str:
        """Both, as the front door is told of them."""
        return ",".join(child.target for child in self.children)

    def home(self, name: str) -> Child:
        """Where an account belongs."""
        owner = "group team" if name in TEAM else name
        places = {child.target: child for child in self.children}
        return places[Rendezvous(places).choose(owner, places)]

    def living_at(self, child: Child) -> list[str]:
        """Accounts that belong there, at least one of them."""
        found = [name for name in LONERS if self.home(name) is child]
        assert found
        return found


def assessed_rows(child: Child) -> float:
    """Queries that a replica has given verdicts on."""
    with urllib.request.urlopen(f"http://{child.addresses['metrics']}/metrics") as answer:
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "queen_decisions_total"
    )


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """The replicas as processes."""
    folder = Path(tmp_path_factory.mktemp("replicas"))
    small = make_bundle(folder / "b", samples=800)
    children = []
    with redis_server(folder / "redis") as redis:
        for number in range(2):
            place = folder / str(number)
            place.mkdir()
            flags = ["--bundle", str(small.path), "--state", redis.url, "--admin-port", "0"]
            children.append(Child("sensitivity", place, *flags, "--metrics-port", "0"))
        try:
            for child in children:
                child.start()
            yield Replicas(small, children)
        finally:
            for child in children:
                child.kill()


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
    """How many endpoints the door has in a state."""
    return door.metric("queen_sensitivity_endpoints", state=state)


async def until(claim: Callable[[], bool]) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(30):
        while not claim():
            await asyncio.sleep(0.02)


def is_protected(answers: np.ndarray) -> bool:
    """Whether answers are those of a failure mode."""
    return bool(np.isclose(answers.max(axis=1), 0.9, rtol=1e-6).all())


async def ask_all(door: Door, small: SmallBundle, names: list[str], start: int) -> list[Any]:
    """The answers to some rows, asked by all accounts at once."""
    rows = small.inputs[start : start + ROWS]
    return list(await asyncio.gather(*(door.client.ask(rows, name) for name in names)))


async def test_the_rows_of_an_owner_go_to_one_replica(door: Door, replicas: Replicas) -> None:
    """Whatever batch they come in; accounts of a group go together."""
    names = [*LONERS, *TEAM]
    before = [assessed_rows(child) for child in replicas.children]
    for start in (0, 100, 200):
        await ask_all(door, replicas.small, names, start)
    for child, so_far in zip(replicas.children, before, strict=True):
        mine = [name for name in names if replicas.home(name) is child]
        assert mine
        assert assessed_rows(child) - so_far == 3 * ROWS * len(mine)
    assert endpoints(door, "known") == 2
    assert door.metric("queen_failure_mode_total", mode="protect") == 0


async def test_a_killed_replica_costs_no_verdict_and_gets_its_accounts_back(
    door: Door, replicas: Replicas
) -> None:
    """The other goes on where it was; once it is back, so are its accounts."""
    small, lost = replicas.small, replicas.children[0]
    names = replicas.living_at(lost)
    stop, answered = asyncio.Event(), [0]

    async def keep_asking(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            answers = await door.client.ask(small.inputs[number % 90 : number % 90 + 3], name)
            assert not is_protected(answers)
            answered[0] += 1

    with structlog.testing.capture_logs() as lines:
        await door.client.ask(small.inputs[300:400], names[0])
        traffic = [asyncio.create_task(keep_asking(name)) for name in LONERS]
        await until(lambda: answered[0] > 50)
        port, so_far = lost.port, answered[0]
        lost.kill()
        await until(lambda: answered[0] > so_far + 100 or any(task.done() for task in traffic))
        assert endpoints(door, "up") == 1
        assert door.metric("queen_dependency_up", dependency="sensitivity") == 1
        stop.set()
        await asyncio.gather(*traffic)
        seen = len(lines)
        await door.client.ask(small.inputs[400:500], names[0])
    assert door.metric("queen_failure_mode_total", mode="protect") == 0
    assert door.metric("queen_decisions_total", decision="unassessed") == 0
    assert_continues(lines[:seen], lines[seen:], names[0])

    await asyncio.to_thread(lost.start, port)
    await until(lambda: endpoints(door, "up") == 2)
    await ask_all(door, small, LONERS, 500)
    assert assessed_rows(lost) == ROWS * len(names)


def assert_continues(before: list[Any], after: list[Any], name: str) -> None:
    """The first cqs of each class afterwards is the last one of before, and some are not zero."""
    last: dict[int, float] = {}
    first: dict[int, float] = {}
    for line in before:
        if line.get("account_hash") == account_hash(name):
            last |= dict(zip(line["class"], line["cqs_after"], strict=True))
    for line in after:
        for label, cqs in zip(line.get("class", ()), line.get("cqs_before", ()), strict=True):
            first.setdefault(label, cqs)
    assert last
    assert any(last.values())
    assert {label: last[label] for label in first} == first


async def test_a_replica_that_hangs_costs_its_own_accounts_their_verdicts(
    replicas: Replicas, accounts: Path
) -> None:
    """The others of the same micro-batch keep theirs; no other replica is asked instead."""
    hung, other = replicas.children
    settings = {"probe_seconds": 60.0, "assess_timeout_seconds": 1.0}
    async with open_door(
        replicas.small, accounts, sensitivity_target=replicas.target, **settings
    ) as door:
        assert endpoints(door, "up") == 2
        await ask_all(door, replicas.small, LONERS, 0)
        assert hung.process is not None
        hung.process.send_signal(signal.SIGSTOP)
        try:
            answers = await ask_all(door, replicas.small, LONERS, 600)
        finally:
            hung.process.send_signal(signal.SIGCONT)
        protected = [name for name, one in zip(LONERS, answers, strict=True) if is_protected(one)]
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
    hung = replicas.children[0]
    settings = {"probe_seconds": 60.0, "assess_timeout_seconds": 1.0, "failure_mode": "deny"}
    async with open_door(
        replicas.small, accounts, sensitivity_target=replicas.target, **settings
    ) as door:
        assert hung.process is not None
        hung.process.send_signal(signal.SIGSTOP)
        try:
            rows = replicas.small.inputs[:ROWS]
            asked = (door.client.ask(rows, name) for name in LONERS)
            results = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            hung.process.send_signal(signal.SIGCONT)
        denied = [
            name for name, one in zip(LONERS, results, strict=True) if isinstance(one, Exception)
        ]
        assert denied == replicas.living_at(hung)


@pytest.mark.parametrize("affinity", [True, False])
async def test_a_name_is_resolved(replicas: Replicas, accounts: Path, affinity: bool) -> None:
    """One that stands for this machine is served from, with affinity and without."""
    target = f"dns:///localhost:{replicas.children[0].port}"
    async with open_door(
        replicas.small, accounts, sensitivity_target=target, affinity=affinity
    ) as door:
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
    beside = f"{nobody},{replicas.children[0].target}"
    async with open_door(replicas.small, accounts, sensitivity_target=beside) as door:
        await door.until_serving(SENSITIVITY, serving=True)
        for name in LONERS:
            assert not is_protected(await door.client.ask(rows, name))
        assert endpoints(door, "known") == endpoints(door, "up") == 1
