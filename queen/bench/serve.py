"""Compares the defended front door with a bare server of the same model, burst by burst."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.bench.certificate import write_certificate
from queen.bench.load import LoadResult, Server, build_requests, burst
from queen.bundle import Bundle, open_bundle
from queen.defaults import PROFILE
from queen.deployment import Deployment
from queen.errors import ConfigError, DependencyUnavailable
from queen.method.contracts import Profile
from queen.oip_client import OipClient

BATCHES = (1, 32)
IN_FLIGHT = (1, 8, 32)
BARE = "bare"
_PROFILES = {"within": PROFILE, "over": Profile.PAPER}
"""Two accounts: one as most are, and one whose answers the perturber makes."""
_ACCOUNTS = tuple(_PROFILES)


@dataclass(frozen=True)
class ServeOptions:
    """`rounds` bursts of `seconds` for each server and each row of the table, in turns."""

    bundle: Path
    data: Path
    state: Path
    rounds: int = 5
    seconds: float = 2.0
    budget: int = 10
    tls: bool = False
    """Whether a second deployment takes part, whose front door speaks TLS."""

    @property
    def contestants(self) -> int:
        """Servers that take turns."""
        return 1 + len(_ACCOUNTS) * (1 + self.tls)


def run_serve_bench(
    options: ServeOptions, on_burst: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Rows {contestant, batch, in_flight, throughput, p50, p99, cpu} as ratios to the bare server.

    `within` is an account of the default profile whose queries are all covered, the steady state of
    an honest account; `over` is an account over its budget under `paper`, whose answers the
    perturber makes, and which are held; with `tls` both ask over TLS as well. A ratio
    compares two bursts of the same round; the rows give the median, smallest and largest ratio, and
    the absolute medians beside them.
    """
    bundle = open_bundle(options.bundle)
    inputs = read_inputs(options.data, bundle)
    manifest, rows = bundle.manifest, []
    with _servers(options, bundle, inputs) as servers:
        for batch in BATCHES:
            requests = build_requests(manifest.model_name, manifest.input.name, inputs, batch)
            for in_flight in IN_FLIGHT:
                results = _load_in_turns(options, servers, requests, in_flight, on_burst)
                rows += [
                    {"contestant": name, "batch": batch, "in_flight": in_flight}
                    | _summary(result, results[BARE])
                    for name, result in results.items()
                ]
    return rows


def count_bursts(options: ServeOptions) -> int:
    """Number of bursts that `run_serve_bench` makes."""
    return len(BATCHES) * len(IN_FLIGHT) * options.rounds * options.contestants


def _load_in_turns(
    options: ServeOptions,
    servers: dict[str, Server],
    requests: list[oip.ModelInferRequest],
    in_flight: int,
    on_burst: Callable[[], None],
) -> dict[str, list[LoadResult]]:
    """The bursts of each server, which take turns."""
    results: dict[str, list[LoadResult]] = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, server in servers.items():
            load = burst(server, requests, in_flight=in_flight, seconds=options.seconds)
            results[name].append(asyncio.run(load))
            on_burst()
    return results


def _summary(runs: list[LoadResult], bare: list[LoadResult]) -> dict[str, Any]:
    """Per measure the ratio to the bare server, [median, smallest, largest], and the median."""
    rows = [(asdict(run), asdict(yardstick)) for run, yardstick in zip(runs, bare, strict=True)]
    summary: dict[str, Any] = {}
    for measure in rows[0][0]:
        ratios = [run[measure] / max(yardstick[measure], 1e-9) for run, yardstick in rows]
        summary[f"{measure}_ratio"] = [median(ratios), min(ratios), max(ratios)]
        summary[measure] = median(run[measure] for run, _ in rows)
    return summary


@contextmanager
def _servers(
    options: ServeOptions, bundle: Bundle, inputs: NDArray[np.float32]
) -> Iterator[dict[str, Server]]:
    """The bare server, and each deployment as seen by each of two accounts."""
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        servers = {BARE: stack.enter_context(bare_server(bundle.protectee_path))}
        for tls in (False, True)[: 1 + options.tls]:
            deployed = stack.enter_context(_deployment(options, tls=tls))
            for name, server in deployed.items():
                # Send every query once: then the first account has all queries covered, and the
                # second is over.
                _send_all(server, inputs)
                servers[f"{name}, TLS" if tls else name] = server
        yield servers


@contextmanager
def _deployment(options: ServeOptions, *, tls: bool) -> Iterator[dict[str, Server]]:
    """A deployment as seen by each of two accounts."""
    files = write_certificate(options.state) if tls else None
    environment, authorities = {}, None
    if files is not None and files.certificate is not None:
        environment["QUEEN_INFERENCE_TLS_CERT_FILE"] = str(files.certificate)
        environment["QUEEN_INFERENCE_TLS_KEY_FILE"] = str(files.key)
        authorities = files.certificate.read_bytes()
    with Deployment(
        bundle=options.bundle,
        state=options.state / ("tls" if tls else "plain"),
        environment=environment,
        accounts=_write_accounts(options),
    ) as running:
        pids = tuple(running.pid(name) for name in ("inference", "sensitivity", "perturber"))
        yield {name: Server(running.endpoint, name, pids, authorities) for name in _ACCOUNTS}


@contextmanager
def bare_server(model: Path) -> Iterator[Server]:
    """The bare server of a model, for the length of a block."""
    command = [sys.executable, "-m", "queen.bench.bare_server", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise DependencyUnavailable("the bare server ended before it served")
            yield Server(line.strip(), "none", (process.pid,))
        finally:
            process.terminate()


def _write_accounts(options: ServeOptions) -> Path:
    """Two accounts; a budget beyond the queries keeps `within` from ever crossing."""
    budgets = {"within": 1000, "over": options.budget}
    accounts = [
        {
            "id": name,
            "key_sha256": hashlib.sha256(name.encode()).hexdigest(),
            "budget": budget,
            "profile": _PROFILES[name].value,
        }
        for name, budget in budgets.items()
    ]
    path = options.state / "accounts.yaml"
    path.write_text(yaml.safe_dump({"accounts": accounts}))
    return path


def _send_all(server: Server, inputs: NDArray[np.float32]) -> None:
    with OipClient(server.endpoint, server.key, credentials=server.credentials) as client:
        model = client.describe("")
        for start in range(0, len(inputs), 64):
            client.infer(model, inputs[start : start + 64])


def read_inputs(path: Path, bundle: Bundle) -> NDArray[np.float32]:
    """Up to 2,048 samples `x` of an npz, which fit the bundle; ConfigError otherwise."""
    signature = bundle.manifest.input
    if signature.datatype != "FP32":
        raise ConfigError(
            f"expected a model of FP32 input for this bench, got {signature.datatype}"
        )
    with np.load(path, allow_pickle=False) as archive:
        inputs: NDArray[np.float32] = archive["x"][:2048].astype(np.float32)
    if list(inputs.shape[1:]) != signature.shape[1:] or len(inputs) < max(BATCHES):
        raise ConfigError(
            f"{path}: expected at least {max(BATCHES)} inputs of shape {signature.shape[1:]}, "
            f"got {inputs.shape}"
        )
    return inputs
