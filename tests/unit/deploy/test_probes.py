"""Probes ask the services for what they really report."""

from __future__ import annotations

import pytest

from queen.api.oip import open_inference_pb2
from queen.api.v1 import perturber_pb2, sensitivity_pb2
from tests.unit.deploy.manifests import DEPLOYABLE, SERVICES, config, container

GRPC_SERVICE = {
    "inference": open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
    "sensitivity": sensitivity_pb2.DESCRIPTOR.services_by_name["SensitivityService"].full_name,
    "perturber": perturber_pb2.DESCRIPTOR.services_by_name["PerturberService"].full_name,
}
PODS = [(folder, service) for folder in DEPLOYABLE for service in SERVICES]


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_readiness_asks_for_the_service_itself(folder: str, service: str) -> None:
    """Readiness names the gRPC service that the protos define."""
    probe = container(service, folder)["readinessProbe"]["grpc"]
    assert probe["service"] == GRPC_SERVICE[service]


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_liveness_asks_for_the_process_alone(folder: str, service: str) -> None:
    """Neither liveness nor start-up follows a service name, so no peer can restart a pod."""
    item = container(service, folder)
    assert item["livenessProbe"]["grpc"]["service"] == ""
    assert item["startupProbe"]["grpc"]["service"] == ""


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_probes_use_the_configured_port(folder: str, service: str) -> None:
    """The three probes are on the port for health alone, where no caller can be in their way."""
    item = container(service, folder)
    ports = {item[f"{kind}Probe"]["grpc"]["port"] for kind in ("startup", "liveness", "readiness")}
    assert ports == {config(service, folder)["health_port"]}


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_a_draining_pod_leaves_before_it_refuses(folder: str, service: str) -> None:
    """Failing readiness is noticed within the wait between NOT_SERVING and refusing calls."""
    probe = container(service, folder)["readinessProbe"]
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    # The endpoint controller removes a terminating pod at once; the probe is the slower way.
    assert probe["periodSeconds"] < config(service, folder)["prestop_seconds"]
