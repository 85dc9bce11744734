"""Calls to a running sensitivity service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from grpc_health.v1 import health_pb2_grpc

from queen.api.v1 import admin_pb2, admin_pb2_grpc, sensitivity_pb2_grpc
from queen.api.v1 import sensitivity_pb2 as pb
from tests.bundles import SmallBundle, make_bundle
from tests.operators import as_operator, write_operators
from tests.service_process import ServiceProcess, running_service


def small_bundle(folder: Path) -> SmallBundle:
    """The bundle that the tests serve."""
    return make_bundle(folder / "bundle", coverage_fraction=0.05)


@dataclass
class Service:
    """A running service with stubs on it."""

    process: ServiceProcess
    sensitivity: sensitivity_pb2_grpc.SensitivityServiceStub
    admin: admin_pb2_grpc.AdminServiceStub
    health: health_pb2_grpc.HealthStub


def stubs(process: ServiceProcess) -> Service:
    """Stubs on a running process."""
    main = grpc.insecure_channel(process.addresses["address"])
    admin = as_operator(grpc.insecure_channel(process.addresses["admin"]))
    return Service(
        process,
        sensitivity_pb2_grpc.SensitivityServiceStub(main),
        admin_pb2_grpc.AdminServiceStub(admin),
        health_pb2_grpc.HealthStub(main),
    )


@contextmanager
def small_service(small: SmallBundle, folder: Path, **settings: object) -> Iterator[Service]:
    """A process with a small budget and a bound of 64 rows, on SQLite unless `settings` differ."""
    chosen = {
        "bundle": small.path,
        "state": folder / "ledger.sqlite3",
        "admin_port": 0,
        "operators": write_operators(folder),
        "budget": 20,
        "max_rows": 64,
        **settings,
    }
    with running_service("sensitivity", folder, **chosen) as process:
        yield stubs(process)


def request_of(
    small: SmallBundle, rows: np.ndarray, names: tuple[str, ...], **changes: object
) -> pb.AssessRequest:
    """Some training samples as queries, dealt out to the accounts in turn."""
    embeddings = small.model.embeddings(small.inputs[rows])
    fields: dict[str, object] = {
        "bundle_digest": small.manifest.digest,
        "accounts": [pb.AccountPolicy(account_id=name) for name in names],
        "account_index": (np.arange(len(rows)) % len(names)).astype("<u4").tobytes(),
        "labels": small.labels[rows].astype("<i4").tobytes(),
        "embeddings": embeddings.astype("<f4").tobytes(),
    }
    return pb.AssessRequest(**{**fields, **changes})  # type: ignore[arg-type]


def export_all(service: Service) -> bytes:
    """An export of all ledgers and meters, byte for byte."""
    answers = service.admin.ExportAccounts(admin_pb2.ExportAccountsRequest(), timeout=20)
    return b"".join(answer.SerializeToString(deterministic=True) for answer in answers)


def get_records(service: Service, account: str) -> dict[int, np.ndarray]:
    """An account's records by class; empty if it has none."""
    try:
        answer = service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id=account))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return {}
        raise
    return {
        ledger.label: np.frombuffer(ledger.embeddings, "<f4").reshape(-1, 2)
        for ledger in answer.classes
    }
