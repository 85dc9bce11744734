"""The front door with real sensitivity and perturber processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import pytest
import pytest_asyncio
import structlog

from queen.bundle import open_bundle
from queen.method.answers.decoy import make_decoy, sketch_inputs
from queen.method.contracts import Profile, check_answers, check_label_kept, check_simplex
from queen.serving.logging import account_hash
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, write_accounts
from tests.service_process import ServiceProcess, running_service
from tests.waiting import until

SENSITIVITY = "queen.api.v1.SensitivityService"
PERTURBER = "queen.api.v1.PerturberService"
ACCOUNTS = {
    "alice": "",
    "bob": "",
    "paper": "budget: 2",
    "safe": "budget: 2, profile: safe",
    "safe_later": "budget: 2, profile: safe",
    "safe_roomy": "profile: safe",
    "balanced": "budget: 2, profile: balanced",
    "strict": "budget: 2, profile: strict",
    "strict_later": "budget: 2, profile: strict",
    "observer": "budget: 2, profile: observe",
    "one": "group: team, profile: strict",
    "two": "group: team, profile: strict",
}
BALANCED_L1 = 0.7
SECRET = bytes(range(32))


@dataclass
class Peers:
    """The two peers of a front door, with the same bundle."""

    small: SmallBundle
    sensitivity: ServiceProcess
    perturber: ServiceProcess


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """The peers as processes."""
    folder = Path(tmp_path_factory.mktemp("peers"))
    small = make_bundle(folder / "b", samples=800)
    (folder / "secret").write_bytes(SECRET)
    state = {"state": folder / "ledger.sqlite3", "admin_port": 0}
    secret = {"secret_file": folder / "secret"}
    with (
        running_service("sensitivity", folder, bundle=small.path, **state) as sensitivity,
        running_service("perturber", folder, bundle=small.path, **secret) as perturber,
    ):
        yield Peers(small, sensitivity, perturber)


@asynccontextmanager
async def door_to(peers: Peers, folder: Path, **settings: Any) -> AsyncIterator[Door]:
    """A door to both peers, once it reaches them."""
    targets = {
        "sensitivity_target": peers.sensitivity.address,
        "perturber_target": peers.perturber.address,
        "assess_timeout_seconds": 5.0,
        "reverse_timeout_seconds": 5.0,
        "balanced_l1": BALANCED_L1,
        **settings,
    }
    accounts = write_accounts(folder, "{id: team, budget: 2}", **ACCOUNTS)
    async with open_door(peers.small, accounts, **targets) as opened:
        await opened.until_serving(SENSITIVITY, serving=True)
        await opened.until_serving(PERTURBER, serving=True)
        yield opened


@pytest_asyncio.fixture
async def door(peers: Peers, tmp_path: Path) -> AsyncIterator[Door]:
    """The same with the usual settings."""
    async with door_to(peers, tmp_path) as opened:
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
    await door.client.ask(small.inputs[:200], "strict")
    for account in ("alice", "paper", "safe", "strict"):
        for row in (300, 301):
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


def decoys(peers: Peers, rows: np.ndarray) -> np.ndarray:
    """The answers of the perturber's decoy to inputs."""
    bundle = open_bundle(peers.small.path)
    return make_decoy(SECRET, bundle.digest, bundle.sketch_space).answers(sketch_inputs(rows))


def is_decoy(peers: Peers, rows: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Marks of the answers that are the decoy's, bit for bit."""
    return np.asarray((decoys(peers, rows) == answers).all(axis=1))


async def test_paper_reverses_some_rows_of_a_spent_budget(door: Door, peers: Peers) -> None:
    """Rows that are covered or outside keep the answer of an account within its budget."""
    rows = peers.small.inputs[500:700]
    within = await door.client.ask(rows, "alice")
    answers = await door.client.ask(rows, "paper")
    check_answers(Profile.PAPER, answers, await door.client.ask(rows, "observer"))
    assert door.metric("queen_decisions_total", decision="reverse") > 0
    assert 0.05 < (answers != within).any(axis=1).mean() < 1
    assert door.metric("queen_contract_violations_total") == 0


async def test_observe_is_bit_identical_whatever_the_verdict(door: Door, peers: Peers) -> None:
    """Verdicts are counted, and the answers are those of a bare ONNX Runtime."""
    rows = peers.small.inputs[500:564]
    session = ort.InferenceSession(peers.small.path / "protectee.onnx")
    (expected,) = session.run(["probabilities"], {"x": rows})
    for _ in range(2):
        assert (await door.client.ask(rows, "observer")).tobytes() == expected.tobytes()
    assert door.metric("queen_decisions_total", decision="reverse") > 0


async def test_safe_tells_no_verdict(door: Door, peers: Peers) -> None:
    """Before and after the crossing, in any batch and for any account: the same bytes."""
    rows = peers.small.inputs[500:700]
    clean = await door.client.ask(rows, "observer")
    before = np.concatenate([await door.client.ask(rows[[row]], "safe_later") for row in range(6)])
    reversed_before = door.metric("queen_decisions_total", decision="reverse")
    first = await door.client.ask(rows, "safe_later")
    assert door.metric("queen_decisions_total", decision="reverse") > reversed_before + 20
    assert first[:6].tobytes() == before.tobytes()
    for account in ("safe_later", "safe_roomy"):
        assert (await door.client.ask(rows, account)).tobytes() == first.tobytes()
    check_answers(Profile.SAFE, first, clean)
    assert np.abs(first - clean).sum(axis=1).mean() > 0.5
    assert door.metric("queen_contract_violations_total") == 0


async def test_strict_keeps_labels_until_the_account_crosses(door: Door, peers: Peers) -> None:
    """A row turns it over: every later answer is the decoy's, repeats of earlier rows too."""
    rows = peers.small.inputs[:120]
    answers = np.concatenate(
        [await door.client.ask(rows[[row]], "strict_later") for row in range(120)]
    )
    is_turned = is_decoy(peers, rows, answers)
    crossing = int(np.flatnonzero(~is_turned)[-1]) + 1
    assert 2 < crossing < 100
    # Answers are rounded: one or two of the account's own may be the decoy's, too.
    assert np.count_nonzero(is_turned[:crossing]) <= 2
    clean = await door.client.ask(rows, "observer")
    check_label_kept(answers[:crossing], clean[:crossing])
    check_simplex(answers)
    again = await door.client.ask(rows, "strict_later")
    assert is_decoy(peers, rows, again).all()
    assert again[crossing:].tobytes() == answers[crossing:].tobytes()
    assert (again.argmax(axis=1) != clean.argmax(axis=1)).mean() > 0.2
    assert door.metric("queen_contract_violations_total") == 0


async def test_balanced_goes_no_farther_than_the_setting(door: Door, peers: Peers) -> None:
    """After the crossing every answer is within balanced_l1, and most are drawn up to it."""
    rows = peers.small.inputs[500:700]
    await door.client.ask(rows, "balanced")
    answers = await door.client.ask(rows, "balanced")
    clean = await door.client.ask(rows, "observer")
    check_answers(Profile.BALANCED, answers, clean, balanced_l1=BALANCED_L1)
    moved = np.abs(answers - clean).sum(axis=1)
    assert (moved > BALANCED_L1 - 1e-3).mean() > 0.5
    assert door.metric("queen_contract_violations_total") == 0


async def test_accounts_of_a_group_spend_one_budget(door: Door, peers: Peers) -> None:
    """Queries of an account turn the other of its group over; an account outside is unchanged."""
    rows = peers.small.inputs[500:600]
    outside = await door.client.ask(rows, "alice")
    await door.client.ask(rows, "one")
    assert is_decoy(peers, rows, await door.client.ask(rows, "two")).all()
    assert (await door.client.ask(rows, "alice")).tobytes() == outside.tobytes()


async def test_the_decision_log_says_why_and_names_no_account(door: Door, peers: Peers) -> None:
    """A flagged request leaves its causes and the account's hash, and no id or number of it."""
    rows = peers.small.inputs[500:600]
    await door.client.ask(rows, "one")
    with structlog.testing.capture_logs() as lines:
        for name in ("two", "strict", "strict", "safe_roomy"):
            await door.client.ask(rows[:40], name)
        # Records are made a while after the answers, in their order: that of `one` may come now.
        hashes = {account_hash("two"), account_hash("strict")}
        await until(lambda: sum(line.get("account_hash") in hashes for line in lines) == 3)
    decisions = [line for line in lines if line["event"] == "decision"]
    by_hash = {line["account_hash"]: line for line in decisions}
    two, strict = by_hash[account_hash("two")], by_hash[account_hash("strict")]
    assert account_hash("safe_roomy") not in by_hash
    assert {"GROUP", "ACCOUNT|GROUP"} >= set(two["cause"]) >= {"GROUP"}
    assert set(strict["cause"]) == {"ACCOUNT"}
    assert set(strict["verdict"]) == {"REVERSE"}
    assert (strict["profile"], strict["rows"]) == ("strict", 40)
    for line in decisions:
        assert len(line["cause"]) == len(line["verdict"]) == line["rows"]
        assert {"account_id", "account", "group"}.isdisjoint(line)
        assert {"one", "two", "team"}.isdisjoint(map(str, line.values()))


async def test_sensitivity_dies_and_comes_back(door: Door, peers: Peers) -> None:
    """Traffic goes on in protect form while it is gone; afterwards the ledgers still hold."""
    small = peers.small
    query = small.inputs[500:600]
    await door.client.ask(query, "paper")
    enforced = await door.client.ask(query, "paper")
    peers.sensitivity.kill()
    gone = await door.client.ask(query, "paper")
    np.testing.assert_allclose(gone.max(axis=1), 0.9, rtol=1e-6)
    await door.until_serving(SENSITIVITY, serving=False)
    assert door.metric("queen_failure_mode_total", mode="protect") == 1
    assert door.metric("queen_dependency_up", dependency="sensitivity") == 0
    await asyncio.to_thread(peers.sensitivity.start)
    await door.until_serving(SENSITIVITY, serving=True)
    assert (await door.client.ask(query, "paper")).tobytes() == enforced.tobytes()


async def test_perturber_dies_and_flagged_rows_are_protected(door: Door, peers: Peers) -> None:
    """Without the perturber the flagged rows alone are label-only."""
    small = peers.small
    await door.client.ask(small.inputs[500:700], "paper")
    enforced = await door.client.ask(small.inputs[500:700], "paper")
    peers.perturber.kill()
    answers = await door.client.ask(small.inputs[500:700], "paper")
    changed = (answers != enforced).any(axis=1)
    assert 0 < changed.sum() < 200
    np.testing.assert_allclose(answers[changed].max(axis=1), 0.9, rtol=1e-6)
    assert door.metric("queen_failure_mode_total", mode="protect") == 1
    await asyncio.to_thread(peers.perturber.start)
    await door.until_serving(PERTURBER, serving=True)
    again = await door.client.ask(small.inputs[500:700], "paper")
    assert again.tobytes() == enforced.tobytes()


async def test_without_the_perturber_every_row_over_the_budget_is_protected(
    door: Door, peers: Peers
) -> None:
    """Under `strict` that is all of them; `safe` and `observe` need no perturber."""
    rows = peers.small.inputs[500:600]
    usual = {name: await door.client.ask(rows, name) for name in ("safe", "observer")}
    await door.client.ask(rows, "strict")
    peers.perturber.kill()
    answers = await door.client.ask(rows, "strict")
    np.testing.assert_allclose(answers.max(axis=1), 0.9, rtol=1e-6)
    check_label_kept(answers, usual["observer"])
    for name, expected in usual.items():
        assert (await door.client.ask(rows, name)).tobytes() == expected.tobytes()
    await asyncio.to_thread(peers.perturber.start)


async def refusal_of(door: Door, rows: np.ndarray, account: str) -> str:
    """The words in which a request is told that there is no answer for now."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.client.ask(rows, account)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return caught.value.details() or ""


async def test_an_outage_gives_an_owner_so_many_labels_and_no_more(
    peers: Peers, tmp_path: Path
) -> None:
    """Over the budget or not, the same number and the same words; members of a group share it."""
    rows = peers.small.inputs[500:540]
    async with door_to(peers, tmp_path, unassessed_rows=100) as door:
        await door.client.ask(rows, "paper")
        peers.sensitivity.kill()
        for name in ("paper", "alice"):
            for _ in range(2):
                assert (await door.client.ask(rows, name)).max() < 0.91
        words = {await refusal_of(door, rows, name) for name in ("paper", "alice", "alice")}
        assert len(words) == 1
        await door.client.ask(rows, "one")
        await door.client.ask(rows, "two")
        assert words == {await refusal_of(door, rows, "one")}
        for _ in range(4):
            await door.client.ask(rows, "safe")
        await asyncio.to_thread(peers.sensitivity.start)
        await door.until_serving(SENSITIVITY, serving=True)
        await door.client.ask(rows, "paper")
        assert door.metric("queen_failure_mode_total", mode="deny") == 4


async def test_without_the_perturber_an_owner_gets_so_many_labels_and_no_more(
    peers: Peers, tmp_path: Path
) -> None:
    """Of flagged rows: an account within its budget is answered as usual."""
    rows = peers.small.inputs[500:540]
    async with door_to(peers, tmp_path, unassessed_rows=100) as door:
        await door.client.ask(peers.small.inputs[500:600], "strict")
        peers.perturber.kill()
        for _ in range(2):
            await door.client.ask(rows, "strict")
        await refusal_of(door, rows, "strict")
        for _ in range(4):
            await door.client.ask(rows, "alice")
        await asyncio.to_thread(peers.perturber.start)
        await door.until_serving(PERTURBER, serving=True)
        assert is_decoy(peers, rows, await door.client.ask(rows, "strict")).all()


async def test_requests_without_a_verdict_are_in_the_decision_log(door: Door, peers: Peers) -> None:
    """Under the default setting too, a line each without anything of their queries."""
    rows = peers.small.inputs[500:540]
    peers.sensitivity.kill()
    with structlog.testing.capture_logs() as lines:
        await door.client.ask(rows, "alice")
        await until(lambda: any(line["event"] == "unassessed" for line in lines))
    (line,) = [line for line in lines if line["event"] == "unassessed"]
    assert (line["account_hash"], line["failure_mode"]) == (account_hash("alice"), "protect")
    assert line["rows"] == 40
    assert not any(isinstance(value, list) for value in line.values())
    await asyncio.to_thread(peers.sensitivity.start)
