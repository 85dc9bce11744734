"""Measures what hostile accounts take from one that asks less than its share."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np
import yaml

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.flood import MODES
from queen.bench.load import Server, build_requests, burst
from queen.bench.machine import cpu_seconds
from queen.bench.serve import read_inputs
from queen.bundle import open_bundle
from queen.deployment import Deployment
from queen.errors import DependencyUnavailable

HOSTILE = (1, 2, 3)
PATIENCE_SECONDS = 1.0
"""An answer that takes longer is none."""
_VICTIM = "victim"
_CAPACITY_IN_FLIGHT = 32
_LEAST_REQUESTS = 20
_SETTLING_REQUESTS = 10


@dataclass(frozen=True)
class FairnessOptions:
    """`rounds` pairs of `seconds`, quiet and hostile, for each row of the table.

    The victim asks `asks` times its share: the capacity divided by the accounts that ask.
    """

    bundle: Path
    data: Path
    state: Path
    rounds: int = 3
    seconds: float = 5.0
    asks: float = 0.5
    profile: str = "paper"


@dataclass(frozen=True)
class Served:
    """The answered share of an account's requests, latencies in ms, and cores the server used."""

    answered: float
    p50_ms: float
    p99_ms: float
    cores: float


def run_fairness_bench(
    options: FairnessOptions, on_pair: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Rows {mode, hostile, asked_per_second, ...}, each a quiet and a hostile period in turns.

    `kept` is the answered share beside the hostile accounts over that of the quiet period before
    it, `p99_ratio` likewise; both are [median, smallest, largest] of the rounds.
    """
    bundle = open_bundle(options.bundle)
    inputs = read_inputs(options.data, bundle)
    manifest, rows = bundle.manifest, []
    requests = build_requests(manifest.model_name, manifest.input.name, inputs, 1)
    with _deployment(options) as running:
        pids = tuple(running.pid(name) for name in ("inference", "sensitivity", "perturber"))
        victim = Server(running.endpoint, _VICTIM, pids)
        load = burst(victim, requests, in_flight=_CAPACITY_IN_FLIGHT, seconds=options.seconds)
        capacity = asyncio.run(load).requests_per_second
        for mode in MODES:
            for hostile in HOSTILE:
                rate = options.asks * capacity / (1 + hostile)
                pairs = []
                for _ in range(options.rounds):
                    quiet = asyncio.run(ask_at_rate(victim, requests, rate, options.seconds))
                    with _flooding(running.endpoint, options.data, mode, hostile):
                        beside = asyncio.run(ask_at_rate(victim, requests, rate, options.seconds))
                    _settle(victim, requests[0])
                    pairs.append((quiet, beside))
                    on_pair()
                rows.append({"mode": mode, "hostile": hostile} | summary(rate, pairs))
    return rows


def count_pairs(options: FairnessOptions) -> int:
    """Number of pairs that `run_fairness_bench` measures."""
    return len(MODES) * len(HOSTILE) * options.rounds


def summary(rate: float, pairs: Sequence[tuple[Served, Served]]) -> dict[str, Any]:
    """The figures of a row: each pair compared with itself."""
    kept = [beside.answered / max(quiet.answered, 1e-9) for quiet, beside in pairs]
    ratios = [beside.p99_ms / max(quiet.p99_ms, 1e-9) for quiet, beside in pairs]
    return {
        "asked_per_second": rate,
        "kept": [median(kept), min(kept), max(kept)],
        "p99_ratio": [median(ratios), min(ratios), max(ratios)],
        "p50_quiet_ms": median(quiet.p50_ms for quiet, _ in pairs),
        "p50_ms": median(beside.p50_ms for _, beside in pairs),
        "p99_quiet_ms": median(quiet.p99_ms for quiet, _ in pairs),
        "p99_ms": median(beside.p99_ms for _, beside in pairs),
        "cores_quiet": median(quiet.cores for quiet, _ in pairs),
        "cores": median(beside.cores for _, beside in pairs),
    }


async def ask_at_rate(
    server: Server, requests: Sequence[oip.ModelInferRequest], rate: float, seconds: float
) -> Served:
    """Ask `rate` requests a second for `seconds`, whether or not the last ones were answered.

    Latencies count from the moment at which a request was due; one without an answer counts as
    PATIENCE_SECONDS.
    """
    metadata = (("authorization", f"Bearer {server.key}"),)
    latencies: list[float] = []
    async with grpc.aio.insecure_channel(server.endpoint) as channel:
        infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        await channel.channel_ready()

        async def ask(index: int, due: float) -> None:
            request = requests[index % len(requests)]
            try:
                await infer(request, metadata=metadata, timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError:
                return
            latencies.append(time.perf_counter() - due)

        used = sum(map(cpu_seconds, server.pids))
        start = time.perf_counter()
        async with asyncio.TaskGroup() as asking:
            count = max(_LEAST_REQUESTS, round(rate * seconds))
            for index in range(count):
                due = start + index / rate
                await asyncio.sleep(due - time.perf_counter())
                asking.create_task(ask(index, due))
        elapsed = time.perf_counter() - start
        used = sum(map(cpu_seconds, server.pids)) - used
    missing = [PATIENCE_SECONDS] * (count - len(latencies))
    p50, p99 = np.percentile(latencies + missing, [50, 99]) * 1e3
    return Served(len(latencies) / count, float(p50), float(p99), used / elapsed)


@contextmanager
def _deployment(options: FairnessOptions) -> Iterator[Deployment]:
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    accounts = [
        {"id": key, "key_sha256": hashlib.sha256(key.encode()).hexdigest(), "budget": budget}
        for key, budget in [(_VICTIM, 1000), *((_hostile(at), 10) for at in range(max(HOSTILE)))]
    ]
    path = options.state / "accounts.yaml"
    path.write_text(yaml.safe_dump({"accounts": accounts}))
    with Deployment(
        bundle=options.bundle, state=options.state, accounts=path, profile=options.profile
    ) as running:
        yield running


def _settle(server: Server, request: oip.ModelInferRequest) -> None:
    """Wait until the server has done what the hostile accounts left behind."""
    metadata = (("authorization", f"Bearer {server.key}"),)
    with grpc.insecure_channel(server.endpoint) as channel:
        infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        for _ in range(_SETTLING_REQUESTS):
            infer(request, metadata=metadata)


@contextmanager
def _flooding(endpoint: str, data: Path, mode: str, hostile: int) -> Iterator[None]:
    """Hostile accounts that ask, each in a process of its own."""
    with ExitStack() as stack:
        for at in range(hostile):
            stack.enter_context(_flood(endpoint, _hostile(at), mode, data))
        yield


@contextmanager
def _flood(endpoint: str, key: str, mode: str, data: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "queen.bench.flood", endpoint, key, mode, str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        try:
            if not process.stdout or not process.stdout.readline():
                raise DependencyUnavailable("a hostile client ended before it asked")
            yield
        finally:
            process.terminate()


def _hostile(at: int) -> str:
    return f"hostile-{at}"
