"""The castle under siege: three services at their pods' limits, and a bare server as control."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.flood import MODES
from queen.bench.load import Server, build_requests
from queen.bench.serve import bare_server
from queen.bundle import open_bundle
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import write_accounts
from tests.service_process import ServiceProcess, clean_env
from tests.siege.limits import Cell, Limits, held
from tests.siege.strangers import HOLDER

DESCRIPTORS = 1024
VICTIM, SPENT = "victim", "spent"
HOSTILE = tuple(f"hostile-{number}" for number in range(3))
_GRACE_SECONDS = 10


@dataclass
class Castle:
    """The services, each in its cell, and the control."""

    small: SmallBundle
    folder: Path
    services: dict[str, ServiceProcess]
    cells: dict[str, Cell]
    bare: Server
    requests: list[oip.ModelInferRequest]

    @property
    def door(self) -> ServiceProcess:
        """The front door."""
        return self.services["inference"]

    def server(self, account: str = VICTIM) -> Server:
        """The front door, as an account sees it."""
        pids = tuple(service.pid for service in self.services.values())
        return Server(self.door.address, f"key-of-{account}", pids)

    @property
    def without_verdict(self) -> float:
        """Requests that the failure mode answered."""
        return self.door.metric("queen_failure_mode_total")

    @contextmanager
    def besieged(self, name: str) -> Iterator[None]:
        """A stranger acts, or hostile accounts ask, for the length of a block."""
        with ExitStack() as stack:
            mode, _, count = name.partition("-")
            if mode in MODES:
                for key in HOSTILE[: int(count)]:
                    words = (
                        "queen.bench.flood",
                        self.door.address,
                        f"key-of-{key}",
                        mode,
                        self._data,
                    )
                    stack.enter_context(_acting(*words))
            else:
                stack.enter_context(_acting("tests.siege.strangers", name, self.door.address))
            yield

    def spend_budget(self) -> None:
        """Have an account ask until it is over its budget."""
        (request,) = build_requests("small", "x", self.small.inputs[:500], 500)
        server = self.server(SPENT)
        with grpc.insecure_channel(server.endpoint) as channel:
            infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer
            infer(request, metadata=(("authorization", f"Bearer {server.key}"),))

    @contextmanager
    def unmolested(self) -> Iterator[None]:
        """The control: no stranger acts in the block."""
        yield

    @property
    def _data(self) -> str:
        path = self.folder / "inputs.npz"
        if not path.exists():
            np.savez(path, x=self.small.inputs)
        return str(path)


@contextmanager
def open_castle(folder: Path) -> Iterator[Castle]:
    """A castle for the length of a block."""
    small = make_bundle(folder / "bundle", samples=1000)
    secret = folder / "secret"
    secret.write_bytes(b"s" * 32)
    accounts = {
        VICTIM: "budget: 3900",
        SPENT: "budget: 5",
        HOLDER: "",
        **dict.fromkeys(HOSTILE, ""),
    }
    # The limits are lifted last, once no process is held to them.
    with ExitStack() as limits, ExitStack() as stack:
        services: dict[str, ServiceProcess] = {}
        cells: dict[str, Cell] = {}

        def start(service: str, **settings: object) -> str:
            process = ServiceProcess(service, folder, bundle=small.path, **settings)
            with _few_descriptors():
                process.launch()
            stack.callback(process.end)
            held_to = held(process.pid, service, Limits.of(service))
            cells[service] = limits.enter_context(held_to)
            services[service] = process.await_ready()
            return process.address

        state = folder / "state"
        sensitivity = start("sensitivity", state=state, admin_port=0)
        perturber = start("perturber", secret_file=secret, device="cpu")
        start(
            "inference",
            accounts=write_accounts(folder, **accounts),
            sensitivity_target=sensitivity,
            perturber_target=perturber,
            default_profile="paper",
            drain_seconds=_GRACE_SECONDS,
        )
        bare = stack.enter_context(bare_server(open_bundle(small.path).protectee_path))
        # Held like the door, so that both get as much of the processors.
        limits.enter_context(held(bare.pids[0], "control", Limits.of("inference")))
        requests = build_requests("small", "x", small.inputs, 1)
        castle = Castle(small, folder, services, cells, bare, requests)
        castle.spend_budget()
        yield castle


@contextmanager
def _few_descriptors() -> Iterator[None]:
    """Processes that begin in the block have few descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def _acting(module: str, *words: str) -> Iterator[None]:
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_env()) as process:
        try:
            assert process.stdout
            assert process.stdout.readline(), f"{module} {words[0]} ended before it acted"
            yield
        finally:
            process.kill()
