"""The rows of a siege: each hostile act, and what it takes from an account within its share."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import grpc

from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.fairness import Served, ask_at_rate
from queen.bench.load import Server
from tests.siege.castle import SPENT, Castle
from tests.siege.strangers import KEYLESS

CALLS = "grpc_server_handled_total"
_PATIENCE_SECONDS = 60.0
_ASKING_SECONDS = 0.1
_SURE = 20


@dataclass(frozen=True)
class Period:
    """A time in which the victim and the control are asked; memory in MiB."""

    victim: Served
    control: Served
    peak_mib: float
    log_bytes: int
    calls: float
    without_verdict: float


async def _both(castle: Castle, rate: float, seconds: float) -> tuple[Served, Served]:
    ask = (
        ask_at_rate(server, castle.requests, rate, seconds)
        for server in (castle.server(), castle.bare)
    )
    victim, control = await asyncio.gather(*ask)
    return victim, control


def period(castle: Castle, rate: float, seconds: float) -> Period:
    """Ask the victim's door and the control at once, at the same rate."""
    door, cell = castle.door, castle.cells["inference"]
    cell.forget_peak()
    log_bytes, calls = door.log.stat().st_size, door.metric(CALLS)
    without = castle.without_verdict
    victim, control = asyncio.run(_both(castle, rate, seconds))
    return Period(
        victim,
        control,
        cell.peak_mib,
        door.log.stat().st_size - log_bytes,
        door.metric(CALLS) - calls,
        castle.without_verdict - without,
    )


def besieged_row(castle: Castle, name: str, rate: float, seconds: float) -> dict[str, Any]:
    """A row: a quiet period, one under the act, and what differs."""
    quiet = period(castle, rate, seconds)
    with castle.besieged(name):
        beside = period(castle, rate, seconds)
    return {
        "act": name,
        "kept": beside.victim.answered / max(quiet.victim.answered, 1e-9),
        "p99_ms": beside.victim.p99_ms,
        "p99_quiet_ms": quiet.victim.p99_ms,
        "control_kept": beside.control.answered / max(quiet.control.answered, 1e-9),
        "control_p99_ms": beside.control.p99_ms,
        "control_p99_quiet_ms": quiet.control.p99_ms,
        "cores": beside.victim.cores,
        "cores_quiet": quiet.victim.cores,
        "rss_mib": beside.peak_mib,
        "rss_grown_mib": beside.peak_mib - quiet.peak_mib,
        "log_bytes_per_call": _log_bytes(name, beside),
        "without_verdict": beside.without_verdict,
        "without_verdict_quiet": quiet.without_verdict,
        "kills": sum(cell.kills for cell in castle.cells.values()),
    }


def _log_bytes(name: str, beside: Period) -> float | None:
    """Bytes of log for each call; None beside accounts, whose decisions are logged on purpose."""
    return beside.log_bytes / max(beside.calls, 1.0) if name in KEYLESS else None


def recovery_row(castle: Castle, service: str, *, is_watched: bool) -> dict[str, Any]:
    """How an over-budget account is answered while a service starts again; free are labels alone.

    With watchers that take no bytes, or without any: the control.
    """
    act = castle.besieged("watchers") if is_watched else castle.unmolested()
    with act:
        before = castle.without_verdict
        process = castle.services[service]
        process.kill()
        process.start()
        began = time.monotonic()
        asked, last = asyncio.run(_ask_until_sure(castle, began))
    name = "watchers" if is_watched else "control"
    return {
        "act": f"{service} starts again, {name}",
        "recovered_seconds": last - began,
        "asked": asked,
        "without_verdict": castle.without_verdict - before,
    }


async def _ask_until_sure(castle: Castle, began: float) -> tuple[int, float]:
    """Ask until many requests in a row had a verdict; how many, and when the first of these was."""
    server: Server = castle.server(SPENT)
    metadata = (("authorization", f"Bearer {server.key}"),)
    asked, sure, first_sure = 0, 0, began
    async with grpc.aio.insecure_channel(server.endpoint) as channel:
        infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        while sure < _SURE and time.monotonic() < began + _PATIENCE_SECONDS:
            before = castle.without_verdict
            await infer(
                castle.requests[asked % len(castle.requests)], metadata=metadata, timeout=10
            )
            asked += 1
            if castle.without_verdict > before:
                sure = 0
            else:
                sure += 1
                first_sure = time.monotonic() if sure == 1 else first_sure
            await asyncio.sleep(_ASKING_SECONDS)
    return asked, first_sure


def drain_row(castle: Castle, rate: float) -> dict[str, Any]:
    """SIGTERM under load, with watchers that take no bytes: nothing in flight is lost."""
    outcomes, seconds, code = asyncio.run(_drained(castle, rate))
    return {
        "act": "SIGTERM under load, with watchers",
        "exit_code": code,
        "drain_seconds": seconds,
        **{f"calls_{name.lower()}": count for name, count in sorted(outcomes.items())},
    }


async def _drained(castle: Castle, rate: float) -> tuple[dict[str, int], float, int]:
    server, outcomes = castle.server(), dict[str, int]()
    metadata = (("authorization", f"Bearer {server.key}"),)
    async with grpc.aio.insecure_channel(server.endpoint) as channel:
        infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer

        async def ask(index: int) -> None:
            try:
                await infer(castle.requests[index], metadata=metadata, timeout=20)
                name = "OK"
            except grpc.aio.AioRpcError as error:
                name = error.code().name
            outcomes[name] = outcomes.get(name, 0) + 1

        with castle.besieged("watchers"):
            async with asyncio.TaskGroup() as asking:
                for index in range(round(2 * rate)):
                    if index == round(rate):
                        castle.door.terminate()
                        began = time.monotonic()
                    asking.create_task(ask(index))
                    await asyncio.sleep(1 / rate)
            code = await asyncio.to_thread(castle.door.exit_code, 60)
            return outcomes, time.monotonic() - began, code
