"""The sensitivity service whose Redis comes later than itself."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.api.v1 import sensitivity_pb2_grpc
from tests.bundles import make_bundle
from tests.integration.sensitivity.calls import request_of
from tests.redis_servers import redis_server
from tests.service_process import running_service
from tests.waiting import eventually

SENSITIVITY = "queen.api.v1.SensitivityService"


def test_a_service_before_its_redis_is_not_ready_and_then_serves(tmp_path: Path) -> None:
    """No restart is needed, by nobody: it says NOT_SERVING, refuses verdicts, and comes up."""
    small = make_bundle(tmp_path / "b")
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as redis:
        redis.stop()
        settings = {"bundle": small.path, "state": redis.url, "admin_port": 0}
        with running_service("sensitivity", tmp_path, **settings) as service:
            channel = grpc.insecure_channel(service.address)
            health = health_pb2_grpc.HealthStub(channel)
            stub = sensitivity_pb2_grpc.SensitivityServiceStub(channel)

            def state() -> int:
                asked = health_pb2.HealthCheckRequest(service=SENSITIVITY)
                return int(health.Check(asked, timeout=10).status)

            assert state() == health_pb2.HealthCheckResponse.NOT_SERVING
            request = request_of(small, np.arange(3), ("a",))
            with pytest.raises(grpc.RpcError) as caught:
                stub.Assess(request, timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            redis.restart()
            eventually(lambda: state() == health_pb2.HealthCheckResponse.SERVING)
            assert len(stub.Assess(request, timeout=10).verdicts) == 3
            assert service.drain() == 0
        assert "the ledger store cannot be opened" in service.log.read_text()
