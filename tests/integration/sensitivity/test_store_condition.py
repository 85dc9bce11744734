"""A Redis that is full or gone, as the sensitivity service and its operator see it."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.api.v1 import sensitivity_pb2 as pb
from tests.bundles import SmallBundle, make_bundle
from tests.integration.sensitivity.calls import request_of, stubs
from tests.operators import write_operators
from tests.redis_servers import redis_server
from tests.service_process import ServiceProcess, running_service
from tests.waiting import eventually


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with many different inputs."""
    return make_bundle(Path(tmp_path_factory.mktemp("condition")) / "b", samples=800)


UP, ROOM = "queen_dependency_up", "queen_ledger_store_takes_records"
FAST = {"admin_port": 0, "store_probe_seconds": 0.05, "redis_breaker_seconds": 0.05}


def shown(process: ServiceProcess) -> tuple[float, float, bool]:
    """Both gauges, and the health of the store's name; the service itself goes on serving."""
    with grpc.insecure_channel(process.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        serving = [
            stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status
            == health_pb2.HealthCheckResponse.SERVING
            for name in ("queen_sensitivity.ledger_store", "queen.api.v1.SensitivityService")
        ]
    assert serving[1]
    up = process.metric(UP, dependency="ledger_store")
    return up, process.metric(ROOM), serving[0]


def failures_of(process: ServiceProcess, small: SmallBundle, rows: np.ndarray) -> set[int]:
    """Failures of a batch of an account."""
    response = stubs(process).sensitivity.Assess(request_of(small, rows, ("a",)), timeout=20)
    return set(response.failures) or {0}


def test_a_full_redis_refuses_new_queries_and_a_gone_one_is_told_apart(
    small: SmallBundle, tmp_path: Path
) -> None:
    """Gauges, health and log say which of the two it is, and all goes back by itself."""
    with redis_server(tmp_path / "redis") as server:
        settings = {"bundle": small.path, "state": server.url, **FAST}
        settings["operators"] = write_operators(tmp_path)
        with running_service("sensitivity", tmp_path, **settings) as process:
            known, new = np.arange(16), np.arange(16, 48)
            assert failures_of(process, small, known) == {0}
            assert shown(process) == (1, 1, True)
            with server.client() as client:
                client.config_set("maxmemory", 1)
                eventually(lambda: shown(process) == (1, 0, True), 20, process.log.read_text)
                assert failures_of(process, small, known) == {0}
                assert pb.FAILURE_LEDGER_FULL in failures_of(process, small, new)
                client.config_set("maxmemory", 0)
            eventually(lambda: shown(process) == (1, 1, True), 20, process.log.read_text)
            assert failures_of(process, small, new) == {0}
            server.kill()
            eventually(lambda: shown(process) == (0, 0, False), 20, process.log.read_text)
            assert failures_of(process, small, known) == {0}
            server.restart()
            eventually(lambda: shown(process) == (1, 1, True), 20, process.log.read_text)
            log = process.log.read_text()
    assert "(OOM)" in log
    assert "(ConnectionError)" in log


@pytest.mark.parametrize("unwritten", [0, 1000])
def test_records_held_in_memory_are_written_when_there_is_room(
    small: SmallBundle, tmp_path: Path, unwritten: int
) -> None:
    """Without traffic, and only where the operator chose it."""
    with redis_server(tmp_path / "redis") as server:
        settings = {"bundle": small.path, "state": server.url, "unwritten_records": unwritten}
        settings["operators"] = write_operators(tmp_path)
        with (
            running_service("sensitivity", tmp_path, **settings, **FAST) as process,
            server.client() as client,
        ):
            client.config_set("maxmemory", 1)
            failures = failures_of(process, small, np.arange(32))
            assert (pb.FAILURE_LEDGER_FULL in failures) is (unwritten == 0)
            held = process.metric("queen_unwritten_records")
            assert (held > 0) is (unwritten > 0)
            assert client.keys("queen:{a}*") == []
            client.config_set("maxmemory", 0)
            eventually(
                lambda: process.metric("queen_unwritten_records") == 0,
                20,
                process.log.read_text,
            )
            lists = client.keys("queen:{a}:*:*")
            assert sum(client.llen(key) for key in lists) == held
