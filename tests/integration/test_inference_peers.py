"""The front door with real sensitivity and perturber processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from queen.method.contracts import Profile, check_answers, check_label_kept, check_simplex
from tests.bundles import SmallBundle, make_bundle

from .inference_door import Child, Door, open_door, write_accounts

SENSITIVITY = "queen.api.v1.SensitivityService"
PERTURBER = "queen.api.v1.PerturberService"
ACCOUNTS = {
    "alice": "",
    "bob": "",
    "paper": "budget: 2",
    "safe": "budget: 2, profile: safe",
    "observer": "budget: 2, profile: observe",
}


@dataclass
class Peers:
    """Both peers of one bundle."""

    small: SmallBundle
    sensitivity: Child
    perturber: Child


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """The peers as processes."""
    folder = Path(tmp_path_factory.mktemp("peers"))
    small = make_bundle(folder / "b", samples=800)
    (folder / "secret").write_bytes(bytes(range(32)))
    bundle = ("--bundle", str(small.path))
    state = ("--state", str(folder / "ledger.sqlite3"), "--admin-port", "0")
    sensitivity = Child("sensitivity", folder, *bundle, *state)
    perturber = Child("perturber", folder, *bundle, "--secret-file", str(folder / "secret"))
    try:
        yield Peers(small, sensitivity.start(), perturber.start())
    finally:
        sensitivity.kill()
        perturber.kill()


@pytest_asyncio.fixture
async def door(peers: Peers, tmp_path: Path) -> AsyncIterator[Door]:
    """A door to both peers."""
    targets = {
        "sensitivity_target": peers.sensitivity.target,
        "perturber_target": peers.perturber.target,
        "assess_timeout_seconds": 5.0,
        "reverse_timeout_seconds": 5.0,
    }
    async with open_door(peers.small, write_accounts(tmp_path, **ACCOUNTS), **targets) as opened:
        await opened.until_serving(SENSITIVITY, serving=True)
        await opened.until_serving(PERTURBER, serving=True)
        yield opened


async def test_answers_within_the_budget_keep_their_labels(door: Door, peers: Peers) -> None:
    """An account far from its budget gets the protectee's labels in softer probabilities."""
    small = peers.small
    answers = await door.client.ask(small.inputs[:100])
    clean = await door.client.ask(small.inputs[:100], "observer")
    check_simplex(answers)
    check_label_kept(answers, clean)
    assert answers.tobytes() != clean.tobytes()
    assert door.metric("queen_failure_mode_total", mode="protect") == 0
    assert door.metric("queen_decisions_total", decision="record") > 0


async def test_64_identical_queries_have_one_answer(door: Door, peers: Peers) -> None:
    """Recorded, repeated or reversed, alone or among others: the same query, the same bytes."""
    small = peers.small
    await door.client.ask(small.inputs[:200], "paper")
    for account in ("alice", "paper"):
        for row in (300, 301, 302):
            query = small.inputs[row : row + 1]
            others = (door.client.ask(small.inputs[i : i + 7], "bob") for i in range(32))
            same = (door.client.ask(query, account) for _ in range(64))
            answers = await asyncio.gather(*same, *others)
            assert len({answer.tobytes() for answer in answers[:64]}) == 1


async def test_one_account_does_not_change_a_byte_of_another(door: Door, peers: Peers) -> None:
    """Alice's answers are the same before and after bob, over the same queries, is served."""
    queries = peers.small.inputs[400:500]
    before = await door.client.ask(queries, "alice")
    for start in range(0, 800, 200):
        await door.client.ask(peers.small.inputs[start : start + 200], "bob")
    assert (await door.client.ask(queries, "alice")).tobytes() == before.tobytes()


@pytest.mark.parametrize("name", ["paper", "safe", "observer"])
async def test_a_spent_budget_is_answered_by_the_profile(
    door: Door, peers: Peers, name: str
) -> None:
    """Over a budget of 2, answers change under paper and safe, hold the contract, and only so."""
    small = peers.small
    within = await door.client.ask(small.inputs[500:700], "alice")
    reversed_before = door.metric("queen_decisions_total", decision="reverse")
    answers = await door.client.ask(small.inputs[500:700], name)
    clean = await door.client.ask(small.inputs[500:700], "observer")
    profile = Profile.OBSERVE if name == "observer" else Profile(name)
    check_answers(profile, answers, clean) if name != "safe" else check_label_kept(answers, clean)
    assert door.metric("queen_decisions_total", decision="reverse") > reversed_before
    differ = (answers != (clean if name == "observer" else within)).any(axis=1).mean()
    assert differ == 0 if name == "observer" else 0.05 < differ < 1
    assert door.metric("queen_contract_violations_total") == 0


async def test_sensitivity_dies_and_comes_back(door: Door, peers: Peers) -> None:
    """Traffic goes on in protect form while it is gone; afterwards the ledgers still hold."""
    small = peers.small
    query = small.inputs[500:600]
    await door.client.ask(query, "paper")
    enforced = await door.client.ask(query, "paper")
    port = peers.sensitivity.port
    peers.sensitivity.kill()
    gone = await door.client.ask(query, "paper")
    np.testing.assert_allclose(gone.max(axis=1), 0.9, rtol=1e-6)
    await door.until_serving(SENSITIVITY, serving=False)
    assert door.metric("queen_failure_mode_total", mode="protect") == 1
    assert door.metric("queen_dependency_up", dependency="sensitivity") == 0
    await asyncio.to_thread(peers.sensitivity.start, port)
    await door.until_serving(SENSITIVITY, serving=True)
    assert (await door.client.ask(query, "paper")).tobytes() == enforced.tobytes()


async def test_perturber_dies_and_flagged_rows_are_protected(door: Door, peers: Peers) -> None:
    """Without the perturber the flagged rows alone are label-only."""
    small = peers.small
    await door.client.ask(small.inputs[500:700], "paper")
    enforced = await door.client.ask(small.inputs[500:700], "paper")
    port = peers.perturber.port
    peers.perturber.kill()
    answers = await door.client.ask(small.inputs[500:700], "paper")
    changed = (answers != enforced).any(axis=1)
    assert 0 < changed.sum() < 200
    np.testing.assert_allclose(answers[changed].max(axis=1), 0.9, rtol=1e-6)
    assert door.metric("queen_failure_mode_total", mode="protect") == 1
    await asyncio.to_thread(peers.perturber.start, port)
    await door.until_serving(PERTURBER, serving=True)
    again = await door.client.ask(small.inputs[500:700], "paper")
    assert again.tobytes() == enforced.tobytes()
