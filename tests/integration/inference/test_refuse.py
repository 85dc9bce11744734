"""The profile `refuse` end to end: three services over gRPC, SQLite, the decision log."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from queen_inference.answers.fallback import protect_answers
from queen_inference.peers.sensitivity import SENSITIVITY
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.wiring import open_service

from queen.bundle import open_bundle
from queen.cli.refusal import rpc_sentence
from queen.oip_client import OipClient
from queen.replay import replay
from queen.serving.server import running
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, write_accounts
from tests.integration.refusals import reason_of
from tests.integration.test_request_path import DECISIONS, open_deployment

BUDGET = 6
ACCOUNTS = {
    "alice": "profile: refuse",
    "bob": "profile: refuse, group: team",
    "carol": "profile: strict, group: team",
    "spared": "profile: refuse, exempt: true",
    "other": "profile: refuse",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle whose regions a few hundred queries can spend."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


@pytest.fixture(scope="module")
def queries(small: SmallBundle) -> np.ndarray:
    """Four hundred and fifty queries, inside the regions and outside."""
    rng = np.random.default_rng(1)
    rows = small.inputs[rng.integers(0, len(small.inputs), 450)]
    return (rows + rng.normal(scale=0.5, size=rows.shape)).astype(np.float32)


@pytest_asyncio.fixture
async def door(small: SmallBundle, tmp_path: Path) -> AsyncIterator[Door]:
    """A deployment with accounts under `refuse`."""
    async with open_deployment(small, tmp_path, BUDGET, **ACCOUNTS) as opened:
        yield opened


async def labels_of(door: Door, rows: np.ndarray, account: str) -> np.ndarray:
    """The labels of the answers to a request (R,); -1 for each of its queries if it is refused."""
    (reply,) = await asyncio.gather(door.client.ask(rows, account), return_exceptions=True)
    if isinstance(reply, np.ndarray):
        return reply.argmax(axis=1)
    assert isinstance(reply, grpc.aio.AioRpcError)
    assert reason_of(reply) == "OVER_BUDGET"
    return np.full(len(rows), -1)


async def ask_in_turn(door: Door, rows: np.ndarray, account: str) -> np.ndarray:
    """The labels of a request for each row, (R,), as in `labels_of`."""
    return np.concatenate([await labels_of(door, row[None], account) for row in rows])


def stored(folder: Path, owner: str) -> list[str]:
    """All rows of the store that name an owner."""
    with sqlite3.connect(folder / "ledgers.sqlite") as state:
        return sorted(line for line in state.iterdump() if f"'{owner}'" in line)


async def test_over_the_budget_no_label_changes_and_nothing_new_is_answered(
    door: Door, small: SmallBundle, queries: np.ndarray
) -> None:
    """Answers before the crossing come again as they were; another account is not touched."""
    own = small.model.logits(queries).argmax(axis=1)
    labels = await ask_in_turn(door, queries, "alice")
    answered = labels >= 0
    assert 100 < np.count_nonzero(~answered) < len(queries)
    assert (labels[answered] == own[answered]).all()
    again = await ask_in_turn(door, queries, "alice")
    assert (again[again >= 0] == own[again >= 0]).all()
    # What was recorded is answered again; all else is refused from now on, answered or not.
    first = int(np.argmin(answered))
    assert np.count_nonzero(again[:first] >= 0) > 0
    assert (again[first:] == labels[first:]).all()
    fresh = await ask_in_turn(door, queries[:first], "other")
    assert (fresh == labels[:first]).all()
    spared = await ask_in_turn(door, queries[:250], "spared")
    assert (spared == own[:250]).all()


async def test_a_refusal_is_read_by_any_client_and_names_nobody(
    door: Door, queries: np.ndarray
) -> None:
    """A google.rpc.Status with ErrorInfo and QuotaFailure, and without RetryInfo: no delay helps.

    The account is within its own budget: the group is over, and the caller is not told.
    """
    await ask_in_turn(door, queries[:250], "carol")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.client.ask(queries[400:], "bob")
    trailers = dict(caught.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    sent = {detail.type_url: detail for detail in status.details}
    kinds = ["ErrorInfo", "QuotaFailure", "RequestInfo"]
    assert sorted(sent) == [f"type.googleapis.com/google.rpc.{kind}" for kind in kinds]
    info, failure = error_details_pb2.ErrorInfo(), error_details_pb2.QuotaFailure()
    assert sent["type.googleapis.com/google.rpc.ErrorInfo"].Unpack(info)
    assert sent["type.googleapis.com/google.rpc.QuotaFailure"].Unpack(failure)
    assert (info.reason, info.domain) == ("OVER_BUDGET", "queen")
    (violation,) = failure.violations
    assert violation.subject == "account"
    assert "ask the operator" in violation.description
    for name in ("bob", "carol", "team", "group"):
        assert name not in str(status)


async def test_a_refused_request_costs_nothing_and_its_neighbors_are_answered(
    door: Door, small: SmallBundle, queries: np.ndarray, tmp_path: Path
) -> None:
    """Its repeated rows get no answer either; the store holds the same before and after."""
    sent = queries[:200]
    labels = await ask_in_turn(door, sent, "alice")
    again = await ask_in_turn(door, sent, "alice")
    known, new = sent[again >= 0][:3], sent[(labels < 0) & (again < 0)][:2]
    before = stored(tmp_path, "alice")
    assert before
    replies = await asyncio.gather(
        labels_of(door, np.concatenate([known, new]), "alice"),
        labels_of(door, known, "alice"),
        labels_of(door, known, "spared"),
    )
    assert stored(tmp_path, "alice") == before
    assert (replies[0] == -1).all()
    own = small.model.logits(known).argmax(axis=1)
    for reply in replies[1:]:
        np.testing.assert_array_equal(reply, own)
    assert door.metric("queen_dropped_requests_total", reason="over_budget") > 0
    assert door.metric("queen_decisions_total", decision="unassessed") == 0


async def test_our_client_says_it_in_a_sentence(door: Door, queries: np.ndarray) -> None:
    """What happened, what is still answered, and whom to ask."""
    await ask_in_turn(door, queries[:250], "alice")
    address = door.process.addresses["address"]

    def ask() -> str:
        with OipClient(address, "key-of-alice") as client:
            model = client.describe("")
            with pytest.raises(grpc.RpcError) as caught:
                client.infer(model, queries[400:])
        return rpc_sentence(caught.value)

    assert await asyncio.to_thread(ask) == (
        "this account is over its budget: it is answered only on queries that it was charged for; "
        "ask the operator for a larger budget or for a reset (RESOURCE_EXHAUSTED, OVER_BUDGET)"
    )


async def test_the_log_of_refused_requests_is_replayed(
    small: SmallBundle, queries: np.ndarray, tmp_path: Path
) -> None:
    """Verdicts come out the same, and the ledgers do not move by what was refused."""
    sent = 0
    async with open_deployment(small, tmp_path, BUDGET, **ACCOUNTS) as door:
        for size in (1, 3, 7):
            for start in range(0, 105, size):
                for account in ("alice", "bob", "spared"):
                    await labels_of(door, queries[start : start + size], account)
                    sent += 1
    report = await asyncio.to_thread(replay, [tmp_path / DECISIONS], open_bundle(small.path))
    assert report.contradictions == []
    assert report.is_reproduced
    assert report.requests + report.left_out_requests == sent
    assert (report.gaps, report.unassessed_rows) == (0, 0)
    assert report.refusals["over_budget"] > 50
    assert report.left_out_requests > 50


async def test_refused_requests_do_not_fill_the_log(
    small: SmallBundle, queries: np.ndarray, tmp_path: Path
) -> None:
    """Of an account and a minute one is written in full; a line counts the others."""
    log = tmp_path / DECISIONS
    async with open_deployment(small, tmp_path, BUDGET, **ACCOUNTS) as door:
        await ask_in_turn(door, queries[:150], "alice")
        for _ in range(40):
            assert (await labels_of(door, queries[200:440], "alice") == -1).all()
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    full = [line for line in lines if line["rows"] == 240 and line["msg"] == "decision"]
    counts = [line for line in lines if line["msg"] == "left_out"]
    assert log.stat().st_size < 300_000
    # A refusal of one query was the minute's first; another minute may have begun since.
    assert len(full) <= 2
    assert sum(line["rows"] for line in counts) >= (40 - len(full)) * 240
    assert sum(line["over_budget"] for line in counts) >= 40 - len(full)


async def test_without_sensitivity_no_label_leaves_past_the_budget(
    small: SmallBundle, queries: np.ndarray, tmp_path: Path
) -> None:
    """Under `protect` an account gets a label only if its last verdicts found it in its budget.

    One that is over, and one without a verdict so far, get UNAVAILABLE, as one under `deny` does.
    """
    accounts = write_accounts(tmp_path, **ACCOUNTS)
    settings = SensitivitySettings(
        bundle=small.path,
        state=str(tmp_path / "ledgers.sqlite"),
        budget=BUDGET,
        port=0,
        admin_port=0,
        metrics_port=-1,
    )
    async with AsyncExitStack() as stack:
        peers = AsyncExitStack()
        sensitivity = await peers.enter_async_context(running(settings, open_service))
        target = sensitivity.addresses["address"]
        door = await stack.enter_async_context(
            open_door(small, accounts, sensitivity_target=target, assess_timeout_seconds=10)
        )
        await door.until_serving(SENSITIVITY, serving=True)
        assert (await ask_in_turn(door, queries, "alice") == -1).sum() > 10
        await ask_in_turn(door, queries[:5], "other")
        await peers.aclose()
        await door.until_serving(SENSITIVITY, serving=False)
        for name in ("alice", "bob"):
            with pytest.raises(grpc.aio.AioRpcError) as denied:
                await door.client.ask(queries[:1], name)
            assert denied.value.code() is grpc.StatusCode.UNAVAILABLE
        labels = small.model.logits(queries[:20]).argmax(axis=1)
        for name in ("other", "spared", "carol"):
            answers = await door.client.ask(queries[:20], name)
            np.testing.assert_array_equal(answers, protect_answers(labels, 4))
        assert door.metric("queen_failure_mode_total", mode="deny") == 2
        assert door.metric("queen_failure_mode_total", mode="protect") == 3
