"""Claims that must hold of the ledgers after every scenario, checked against an export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
import numpy as np
from scipy.spatial import cKDTree

from queen.api.v1 import admin_pb2, admin_pb2_grpc
from queen.method.geometry import Geometry
from queen.method.sensitivity import center_distances, cumulative_query_sensitivity, record_weights
from tests.chaos.load import Acknowledged, Answer
from tests.chaos.queries import Array
from tests.operators import as_operator

Ledgers = Mapping[str, Mapping[int, Array]]
"""Records (M, E) by account and class, in the order of the store."""
_TOLERANCE = 1e-4
"""Relative; replicas report cqs in float32."""


def exported(address: str, geometry: Geometry) -> dict[str, dict[int, Array]]:
    """All ledgers, as the admin API at `address` exports them."""
    with grpc.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(as_operator(channel))
        answers = stub.ExportAccounts(admin_pb2.ExportAccountsRequest(), timeout=20)
        return {
            answer.account.account_id: {
                ledger.label: np.frombuffer(ledger.embeddings, "<f4").reshape(
                    -1, geometry.embedding_width
                )
                for ledger in answer.account.classes
            }
            for answer in answers
        }


def missing(ledgers: Ledgers, told: Iterable[Acknowledged]) -> list[Acknowledged]:
    """Acknowledged records that are not in the ledgers."""
    kept = {
        (account, label, record.tobytes())
        for account, classes in ledgers.items()
        for label, records in classes.items()
        for record in records
    }
    return [record for record in told if (record.account, record.label, record.record) not in kept]


def uncovered(ledgers: Ledgers, answers: Iterable[Answer], geometry: Geometry, spent: str) -> int:
    """Queries that were answered on a verdict, and that no record covers although one should.

    The account `spent` is left out: over its budget it records nothing.
    """
    count = 0
    for answer in answers:
        if answer.kind != "verdict" or answer.account == spent:
            continue
        asked = answer.asked
        distances = center_distances(geometry, asked.embeddings, asked.labels)
        for row in np.flatnonzero(distances < 0.999 * geometry.sensitive_radius[asked.labels]):
            label = int(asked.labels[row])
            records = ledgers.get(answer.account, {}).get(label)
            count += int(not is_covered(records, asked.embeddings[row], label, geometry))
    return count


def is_covered(records: Array | None, embedding: Array, label: int, geometry: Geometry) -> bool:
    """Whether a record of a class lies within r of an embedding (E,)."""
    if records is None or not len(records):
        return False
    nearest = np.linalg.norm(records.astype(np.float64) - embedding, axis=1).min()
    return bool(nearest <= 1.001 * geometry.coverage_radius[label])


def bare(ledgers: Ledgers, lost: Iterable[Acknowledged], geometry: Geometry) -> list[Acknowledged]:
    """Missing records that no other record covers."""
    return [
        record
        for record in lost
        if not is_covered(
            ledgers.get(record.account, {}).get(record.label),
            np.frombuffer(record.record, "<f4"),
            record.label,
            geometry,
        )
    ]


def problems_of(ledgers: Ledgers, geometry: Geometry) -> list[str]:
    """Records stored twice or within r of each other, as sentences without an account."""
    problems = []
    for classes in ledgers.values():
        for label, records in classes.items():
            if len(records) < 2:
                continue
            wide = records.astype(np.float64)
            distances, _ = cKDTree(wide).query(wide, k=2)
            radius = geometry.coverage_radius[label] * (1 - 1e-12)
            close = int(np.count_nonzero(distances[:, 1] <= radius))
            if close:
                problems.append(f"class {label}: {close} of {len(records)} records within r")
    return problems


def misreported(ledgers: Ledgers, told: Iterable[Acknowledged], geometry: Geometry) -> int:
    """Records whose reported cqs is not that of the list up to them."""
    sums = {
        (account, label): np.add.accumulate(
            record_weights(geometry, records, np.full(len(records), label))
        )
        for account, classes in ledgers.items()
        for label, records in classes.items()
    }
    positions = {
        (account, label, record.tobytes()): position
        for account, classes in ledgers.items()
        for label, records in classes.items()
        for position, record in enumerate(records)
    }
    count = 0
    for record in told:
        position = positions.get((record.account, record.label, record.record))
        if position is not None:
            expected = sums[record.account, record.label][position]
            count += int(not np.isclose(record.cqs_after, expected, rtol=_TOLERANCE))
    return count


def misread(ledgers: Ledgers, address: str, geometry: Geometry) -> int:
    """Ledgers of which the admin API reports another cqs than its own export has."""
    count = 0
    with grpc.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(as_operator(channel))
        for account, classes in ledgers.items():
            request = admin_pb2.GetAccountRequest(account_id=account)
            classes_shown = stub.GetAccount(request, timeout=5).classes
            shown = {ledger.label: ledger.cqs for ledger in classes_shown}
            for label, records in classes.items():
                expected = cumulative_query_sensitivity(geometry, records, label)
                count += int(not np.isclose(shown.get(label, -1.0), expected, rtol=1e-9))
    return count
