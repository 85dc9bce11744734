"""The inference service as a process: a clean exit, and refusals in one sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import NOWHERE, Client, write_accounts
from tests.service_process import ServiceProcess, run_refused
from tests.waiting import until


@pytest.fixture
def small(tmp_path: Path) -> SmallBundle:
    """A bundle that a test may break."""
    return make_bundle(tmp_path / "b")


def alone(small: SmallBundle, folder: Path) -> dict[str, object]:
    """Settings of a door without peers, of an account that is answered without a verdict."""
    accounts = write_accounts(folder, alice="profile: balanced")
    peers = {"sensitivity_target": NOWHERE, "perturber_target": NOWHERE}
    return {"bundle": small.path, "accounts": accounts, **peers}


async def test_sigterm_loses_nothing_in_flight(small: SmallBundle, tmp_path: Path) -> None:
    """Under traffic every call is answered or UNAVAILABLE, and the exit code is 0."""
    # Seconds, so that a busy machine too gets an answer in while it still answers.
    waits = {"prestop_seconds": 2, "drain_seconds": 30}
    process = ServiceProcess("inference", tmp_path, **alone(small, tmp_path), **waits)
    await asyncio.to_thread(process.start)
    answered, errors = 0, []

    async def traffic(client: Client) -> None:
        nonlocal answered
        while not errors:
            try:
                await client.ask(small.inputs[:4])
                answered += 1
            except grpc.aio.AioRpcError as error:
                errors.append(error.code())

    async with grpc.aio.insecure_channel(process.address) as channel:
        callers = [asyncio.create_task(traffic(Client(channel))) for _ in range(8)]
        await until(lambda: answered >= len(callers) or bool(errors))
        assert not errors
        process.terminate()
        before = answered
        await asyncio.gather(*callers)
    assert await asyncio.to_thread(process.exit_code, 60) == 0
    assert answered > before > 0
    assert set(errors) == {grpc.StatusCode.UNAVAILABLE}
    for secret in ("key-of-alice", "alice"):
        assert f'"{secret}"' not in process.log.read_text()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("flipped byte", "head.npz: expected SHA-256"),
        ("missing file", "regions.npz"),
        ("other version", "schema version"),
        ("no accounts", "accounts.yaml: cannot be read"),
        ("no bundle", "no bundle here"),
        ("typo", "--failure-mode"),
        ("clean answers", "allow-clean-answers"),
        ("port in use", "--port"),
    ],
)
def test_a_start_that_cannot_be_is_refused(
    small: SmallBundle, tmp_path: Path, trouble: str, words: str
) -> None:
    """Every mistake of an operator is a line on stderr, exit code 2 and no ready file."""
    given = {**alone(small, tmp_path), "port": 0, "metrics_port": -1}
    head = small.path / "head.npz"
    manifest = small.path / "manifest.json"
    blocker = None
    if trouble == "flipped byte":
        head.write_bytes(head.read_bytes()[:-1] + b"\xff")
    elif trouble == "missing file":
        (small.path / "regions.npz").unlink()
    elif trouble == "other version":
        text = manifest.read_text()
        manifest.write_text(text.replace('"schema_version": 3', '"schema_version": 99'))
    elif trouble == "no accounts":
        (tmp_path / "accounts.yaml").unlink()
    elif trouble == "no bundle":
        given["bundle"] = tmp_path / "nothing"
    elif trouble == "typo":
        given["failure_mod"] = "deny"
    elif trouble == "clean answers":
        given["failure_mode"] = "allow"
    else:
        blocker = ServiceProcess("inference", tmp_path, **alone(small, tmp_path)).start()
        given["port"] = blocker.port
    ready = tmp_path / "never.json"
    try:
        stderr = run_refused("inference", **given, ready_file=ready)
    finally:
        if blocker is not None:
            blocker.end()
    said = [line for line in stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert words in said[0]
    assert not ready.exists()
