"""An acknowledgement of the sensitivity service survives the death of its process."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import grpc
import numpy as np

from queen.api.v1 import sensitivity_pb2 as pb
from queen.method.ledger import Verdict
from tests.bundles import SmallBundle
from tests.integration.sensitivity.calls import (
    Service,
    get_records,
    request_of,
    stubs,
)
from tests.operators import write_operators
from tests.service_process import run_refused, running_service


def test_kill_nine_under_traffic_loses_no_acknowledged_record(
    small: SmallBundle, tmp_path: Path
) -> None:
    """Four callers, SIGKILL, restart: all they were told is there, and a replay adds nothing."""
    settings = {"bundle": small.path, "state": tmp_path / "ledger", "admin_port": 0}
    settings["operators"] = write_operators(tmp_path)
    acknowledged: dict[str, list[pb.AssessRequest]] = {}
    recorded: dict[str, set[bytes]] = {}
    with running_service("sensitivity", tmp_path, **settings) as process:
        told = threading.Event()
        callers = [
            threading.Thread(
                target=_call_until_dead,
                args=(stubs(process), small, f"caller-{index}", acknowledged, recorded, told),
            )
            for index in range(4)
        ]
        for caller in callers:
            caller.start()
        assert told.wait(20)
        process.kill()
        for caller in callers:
            caller.join()
    assert sum(map(len, recorded.values())) > 20

    with running_service("sensitivity", tmp_path, **settings) as process:
        service = stubs(process)
        for account, expected in recorded.items():
            before = get_records(service, account)
            kept = {record.tobytes() for records in before.values() for record in records}
            assert expected <= kept
            for request in acknowledged[account]:
                answer = service.sensitivity.Assess(request, timeout=10)
                assert Verdict.RECORD not in list(answer.verdicts)
            after = get_records(service, account)
            assert {label: records.tobytes() for label, records in after.items()} == {
                label: records.tobytes() for label, records in before.items()
            }
        assert process.drain() == 0


def _call_until_dead(
    service: Service,
    small: SmallBundle,
    account: str,
    acknowledged: dict[str, list[pb.AssessRequest]],
    recorded: dict[str, set[bytes]],
    told: threading.Event,
) -> None:
    rng = np.random.default_rng(len(account) + int(account[-1]))
    acknowledged[account], recorded[account] = [], set()
    for turn in range(2000):
        request = request_of(small, rng.integers(0, 400, 2), (account,))
        try:
            answer = service.sensitivity.Assess(request, timeout=10)
        except grpc.RpcError:
            return
        embeddings = np.frombuffer(request.embeddings, "<f4").reshape(-1, 2)
        verdicts = np.frombuffer(answer.verdicts, "u1")
        acknowledged[account].append(request)
        recorded[account] |= {row.tobytes() for row in embeddings[verdicts == Verdict.RECORD]}
        if turn == 25:
            told.set()


def test_a_second_process_on_the_same_state_is_refused(small: SmallBundle, tmp_path: Path) -> None:
    """A ledger file has one replica; after a clean stop the next starts."""
    settings = {"bundle": small.path, "state": tmp_path / "ledger", "admin_port": 0}
    settings["operators"] = write_operators(tmp_path)
    with running_service("sensitivity", tmp_path, **settings) as process:
        said = run_refused("sensitivity", port=0, metrics_port=-1, **settings)
        assert "another process holds this ledger" in said
        assert process.drain() == 0
    assert '"level": "info"' in process.log.read_text()


def test_a_damaged_ledger_fails_its_account_alone(small: SmallBundle, tmp_path: Path) -> None:
    """In one micro-batch with a whole one; the log says what an operator has to do."""
    settings = {"bundle": small.path, "state": tmp_path / "ledger", "admin_port": 0}
    settings["operators"] = write_operators(tmp_path)
    with running_service("sensitivity", tmp_path, **settings) as process:
        for account in ("damaged", "whole"):
            request = request_of(small, np.arange(32), (account,))
            stubs(process).sensitivity.Assess(request, timeout=20)
        assert process.drain() == 0
    with sqlite3.connect(tmp_path / "ledger") as connection:
        connection.execute(
            "UPDATE records SET embedding = x'0000c07f0000c07f' WHERE position = 0 AND ledger IN "
            "(SELECT id FROM ledgers WHERE account = 'damaged')"
        )
    connection.close()
    with running_service("sensitivity", tmp_path, **settings) as process:
        request = request_of(small, np.arange(4), ("damaged", "whole"))
        answer = stubs(process).sensitivity.Assess(request, timeout=20)
        owners = np.frombuffer(request.account_index, "<u4")
        damaged = pb.FAILURE_LEDGER_DAMAGED
        assert list(answer.failures) == np.where(owners == 0, damaged, 0).tolist()
        assert (np.frombuffer(answer.verdicts, "u1") > 0).tolist() == (owners == 1).tolist()
        assert "restore the store from a backup" in process.log.read_text()
