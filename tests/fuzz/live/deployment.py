"""The three services as processes, with their memory, their counts and their ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from prometheus_client.parser import text_string_to_metric_families

from queen.api.v1 import admin_pb2, admin_pb2_grpc
from tests.bundles import SmallBundle
from tests.fuzz.session import memory_mib
from tests.integration.inference.door import write_accounts
from tests.operators import as_operator, write_operators
from tests.service_process import ServiceProcess, running_service
from tests.unit.perturber.flagged import SECRET

HOSTILE, CARELESS, BYSTANDER = "hostile", "careless", "bystander"
"""Accounts: one sends mutants, one sends only what must be refused, one asks in earnest."""
Series = tuple[str, str, str]
"""Service, method and code of a count of calls."""


@dataclass(frozen=True)
class Deployed:
    """The running processes by name, and the bundle that they serve."""

    small: SmallBundle
    processes: dict[str, ServiceProcess]

    @property
    def door(self) -> ServiceProcess:
        """The front door."""
        return self.processes["inference"]

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each port that is fuzzed."""
        ledgers = self.processes["sensitivity"]
        return {
            "inference": self.door.address,
            "sensitivity": ledgers.address,
            "admin": ledgers.addresses["admin"],
            "perturber": self.processes["perturber"].address,
        }

    def handled(self) -> Counter[Series]:
        """Calls that the services have counted."""
        counts: Counter[Series] = Counter()
        for process in self.processes.values():
            for family in text_string_to_metric_families(process.metrics()):
                for sample in family.samples:
                    if sample.name == "grpc_server_handled_total":
                        labels = sample.labels
                        series = (
                            labels["grpc_service"],
                            labels["grpc_method"],
                            labels["grpc_code"],
                        )
                        counts[series] += int(sample.value)
        return +counts

    def memory(self, kind: str = "VmRSS") -> dict[str, float]:
        """MiB of each process, now or (VmHWM) at the most."""
        return {name: memory_mib(process.pid, kind) for name, process in self.processes.items()}

    def ledger(self, account_id: str) -> bytes:
        """All that the service knows of an account, as bytes; none for one without records."""
        with grpc.insecure_channel(self.addresses["admin"]) as channel:
            stub = admin_pb2_grpc.AdminServiceStub(as_operator(channel))
            try:
                answer = stub.GetAccount(admin_pb2.GetAccountRequest(account_id=account_id))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return b""
                raise
        data: bytes = answer.SerializeToString(deterministic=True)
        return data

    def logs(self) -> str:
        """The logs of all processes."""
        return "".join(process.log.read_text() for process in self.processes.values())


@contextmanager
def deployed(small: SmallBundle, folder: Path) -> Iterator[Deployed]:
    """Sensitivity, perturber and front door, on free ports."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "secret"
    secret.write_bytes(SECRET)
    with ExitStack() as stack:
        ledgers = stack.enter_context(
            running_service(
                "sensitivity",
                folder,
                bundle=small.path,
                state=folder / "ledger.sqlite3",
                sqlite_synchronous="normal",
                admin_port=0,
                operators=write_operators(folder),
                budget=6,
                breadth=1,
                survey_seconds=0,
            )
        )
        answers = stack.enter_context(
            running_service(
                "perturber", folder, bundle=small.path, secret_file=secret, device="cpu"
            )
        )
        door = stack.enter_context(
            running_service(
                "inference",
                folder,
                bundle=small.path,
                accounts=write_accounts(
                    folder, **{HOSTILE: "profile: strict", CARELESS: "", BYSTANDER: ""}
                ),
                sensitivity_target=ledgers.address,
                perturber_target=answers.address,
                await_peers_seconds=30,
                max_request_rows=64,
            )
        )
        processes = {"inference": door, "sensitivity": ledgers, "perturber": answers}
        yield Deployed(small, processes)
