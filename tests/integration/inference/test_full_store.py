"""A front door whose sensitivity service has a full disk, or a damaged record."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import numpy as np
import pytest

from queen.serving.logging import account_hash
from queen.serving.status import reason_in
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, write_accounts
from tests.service_process import ServiceProcess, running_service

SENSITIVITY = "queen.api.v1.SensitivityService"
ACCOUNTS = {"alice": "", "bob": "", "carol": "profile: safe", "watcher": "profile: observe"}
ROWS = 48


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with many different inputs."""
    return make_bundle(Path(tmp_path_factory.mktemp("full")) / "b", samples=800)


@asynccontextmanager
async def opened(small: SmallBundle, folder: Path, service: ServiceProcess) -> AsyncIterator[Door]:
    """A front door on the service."""
    accounts = write_accounts(folder, **ACCOUNTS)
    settings = {"sensitivity_target": service.address, "decision_log": "all"}
    log = {"decision_log_file": folder / "decisions.jsonl"}
    async with open_door(small, accounts, **settings, **log) as door:
        await door.until_serving(SENSITIVITY, serving=True)
        yield door


async def asked(door: Door, rows: np.ndarray, account: str) -> str:
    """The reason of the refusal of a request, or its form: label-only or in full."""
    try:
        answers = await door.client.ask(rows, account)
    except grpc.aio.AioRpcError as error:
        reason = reason_in(error.trailing_metadata())
        if error.code() is grpc.StatusCode.UNAVAILABLE and not reason:
            # The connection refused the stream before the call began.
            return await asked(door, rows, account)
        details = [detail for key, detail in error.trailing_metadata() if key.startswith("grpc-")]
        assert b"RetryInfo" not in b"".join(details)
        return f"{error.code().name} {reason}"
    return "label" if np.allclose(answers.max(axis=1), 0.9) else "full"


async def reasons(door: Door, rows: np.ndarray, account: str) -> list[str]:
    """`asked` of each row alone, all at once: they share micro-batches."""
    return list(
        await asyncio.gather(*(asked(door, rows[[row]], account) for row in range(len(rows))))
    )


async def test_a_full_disk_brings_nobody_a_label_and_mends_by_itself(
    small: SmallBundle, tmp_path: Path
) -> None:
    """New queries are refused, covered ones answered; afterwards everything is charged as ever."""
    state = {"state": tmp_path / "ledger.sqlite3", "admin_port": 0}
    known, new = small.inputs[:ROWS], small.inputs[ROWS : 4 * ROWS]
    with running_service("sensitivity", tmp_path, bundle=small.path, **state) as service:
        async with opened(small, tmp_path, service) as door:
            for account in ("alice", "carol"):
                assert set(await reasons(door, known, account)) <= {"full", "label"}
            size = (tmp_path / "ledger.sqlite3-wal").stat().st_size
            before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, before[1]))
            for account in ("alice", "carol"):
                assert "RESOURCE_EXHAUSTED LEDGER_FULL" not in await reasons(door, known, account)
            refused = await reasons(door, new, "bob")
            assert "RESOURCE_EXHAUSTED LEDGER_FULL" in refused
            assert set(refused) <= {"RESOURCE_EXHAUSTED LEDGER_FULL", "full"}
            assert await asked(door, new, "alice") == "RESOURCE_EXHAUSTED LEDGER_FULL"
            assert set(await reasons(door, new, "watcher")) == {"full"}
            assert door.metric("queen_failure_mode_total", mode="protect") == 0
            count = refused.count("RESOURCE_EXHAUSTED LEDGER_FULL") + 1
            assert door.metric("queen_dropped_requests_total", reason="ledger_full") == count
            with closing(sqlite3.connect(f"file:{state['state']}?mode=ro", uri=True)) as store:
                (accounts,) = store.execute(
                    "SELECT count(*) FROM ledgers WHERE account = 'bob'"
                ).fetchone()
            assert accounts == 0
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
            assert "RESOURCE_EXHAUSTED LEDGER_FULL" not in await reasons(door, new, "bob")
    text = (tmp_path / "decisions.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert sum(line.get("refused") == "ledger_full" for line in lines) == count


@pytest.mark.parametrize("damage", ["short", "nan"])
async def test_one_damaged_record_refuses_its_account_alone(
    small: SmallBundle, tmp_path: Path, damage: str
) -> None:
    """Its neighbors in the micro-batch keep their verdicts; the log names the account's hash."""
    state = {"state": tmp_path / "ledger.sqlite3", "admin_port": 0}
    known, new = small.inputs[:ROWS], small.inputs[ROWS : 2 * ROWS]
    with running_service("sensitivity", tmp_path, bundle=small.path, **state) as service:
        async with opened(small, tmp_path, service) as door:
            await door.client.ask(known, "alice")
            await door.client.ask(known, "bob")
    with closing(sqlite3.connect(state["state"])) as store:
        (row, blob) = store.execute(
            "SELECT ledger, embedding FROM records JOIN ledgers ON ledger = id "
            "WHERE account = 'alice' AND position = 0"
        ).fetchone()
        broken = (
            blob[:-1] if damage == "short" else np.full(len(blob) // 4, np.nan, "<f4").tobytes()
        )
        store.execute(
            "UPDATE records SET embedding = ? WHERE ledger = ? AND position = 0", (broken, row)
        )
        store.commit()
    with running_service("sensitivity", tmp_path, bundle=small.path, **state) as service:
        async with opened(small, tmp_path, service) as door:
            hers, his, theirs = await asyncio.gather(
                reasons(door, new, "alice"),
                reasons(door, new, "bob"),
                reasons(door, known, "carol"),
            )
            assert set(hers) == {"DATA_LOSS LEDGER_CORRUPT"}
            assert set(his) | set(theirs) <= {"full"}
            assert door.metric("queen_failure_mode_total", mode="protect") == 0
            assert door.metric("queen_decisions_total", decision="unassessed") == ROWS
        log = service.log.read_text()
    assert account_hash("alice") in log
    assert account_hash("bob") not in log
    assert "alice" not in log
