"""Pods come, go and scale without an answer lost or a ledger forked."""

from __future__ import annotations

import json
import re

import pytest

from tests.unit.deploy.manifests import (
    DEPLOYABLE,
    ROOT,
    SERVICES,
    SHARED_LEDGER,
    config,
    deployment,
    is_selected,
    labels_of,
    named,
    of_kind,
    pod_spec,
    render,
)

IDENTITY = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
}
SCALED = ("inference", "perturber")


def test_autoscalers_hold_two_pods_of_the_stateless_services() -> None:
    """inference and perturber scale from two up; sensitivity, with one writer, does not."""
    scalers = of_kind("base", "HorizontalPodAutoscaler")
    targets = {scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"] for scaler in scalers}
    assert set(targets) == {f"queen-{service}" for service in SCALED}
    assert all(spec["minReplicas"] == 2 for spec in targets.values())
    assert all(spec["maxReplicas"] > 2 for spec in targets.values())


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_autoscaled_deployments_state_no_count(folder: str) -> None:
    """An apply must not undo what the autoscaler decided."""
    for scaler in of_kind(folder, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert "replicas" not in named(folder, target["kind"], target["name"])["spec"]


@pytest.mark.parametrize("folder", [folder for folder in DEPLOYABLE if folder != SHARED_LEDGER])
def test_the_ledger_has_one_writer(folder: str) -> None:
    """A single sensitivity pod, ended before the next starts, on a claim that only it mounts."""
    spec = deployment("sensitivity", folder)["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert mounts_of_the_ledger(folder) == ["sensitivity"]


def mounts_of_the_ledger(folder: str) -> list[str]:
    """Services whose pods mount the claim of the ledgers."""
    claims = {
        service: {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod_spec(service, folder)["volumes"]
            if "persistentVolumeClaim" in volume
        }
        for service in SERVICES
    }
    return [service for service in SERVICES if "queen-ledger" in claims[service]]


def test_a_shared_ledger_has_any_number_of_writers() -> None:
    """With Redis, sensitivity scales, rolls, spreads and is drained as the stateless services."""
    spec = deployment("sensitivity", SHARED_LEDGER)["spec"]
    stateless = deployment("perturber", SHARED_LEDGER)["spec"]
    assert "replicas" not in spec
    assert spec["strategy"] == stateless["strategy"]
    assert config("sensitivity", SHARED_LEDGER)["state"].startswith("rediss://")
    assert mounts_of_the_ledger(SHARED_LEDGER) == []
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
        own, other = (
            named(SHARED_LEDGER, kind, f"queen-{service}")["spec"]
            for service in ("sensitivity", "perturber")
        )
        assert own == json.loads(json.dumps(other).replace("perturber", "sensitivity"))
    spread = [
        pod_spec(service, SHARED_LEDGER)["topologySpreadConstraints"]
        for service in ("sensitivity", "perturber")
    ]
    assert spread[0] == json.loads(json.dumps(spread[1]).replace("perturber", "sensitivity"))


def test_the_ledger_claim_outlives_the_deployment() -> None:
    """No folder that holds a deployment also holds a claim or the namespace."""
    kinds = {item["kind"] for folder in DEPLOYABLE for item in render(folder)}
    assert not kinds & {"PersistentVolumeClaim", "Namespace"}
    claim = named("storage/many-nodes", "PersistentVolumeClaim", "queen-ledger")
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_single_node_claims_ask_for_one_mode() -> None:
    """Storage classes that know only ReadWriteOnce can serve both claims of the small variant."""
    claims = of_kind("storage/single-node", "PersistentVolumeClaim")
    assert {claim["metadata"]["name"] for claim in claims} == {"queen-bundle", "queen-ledger"}
    assert all(claim["spec"]["accessModes"] == ["ReadWriteOnce"] for claim in claims)


def test_node_drains_take_one_pod_at_a_time() -> None:
    """Every scaled service has a disruption budget that picks its pods and only those."""
    budgets = of_kind("base", "PodDisruptionBudget")
    for service in SCALED:
        (budget,) = [
            item["spec"]
            for item in budgets
            if is_selected(item["spec"]["selector"], labels_of(service))
        ]
        assert budget["maxUnavailable"] == 1
    # A budget for the one ledger pod would block every drain or promise nothing.
    assert len(budgets) == len(SCALED)


@pytest.mark.parametrize("service", SCALED)
def test_rollouts_never_go_below_the_count(service: str) -> None:
    """A new pod serves before an old one ends."""
    update = deployment(service)["spec"]["strategy"]["rollingUpdate"]
    assert update == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_rollout_of_sensitivity_waits_for_the_front_doors() -> None:
    """A door that has not yet found the new pod would have no pod to ask once the old one goes.

    It looks the name up every 2 s and probes every second, and a cluster's DNS caches for 5 s.
    """
    spec = deployment("sensitivity", "overlays/redis")["spec"]
    assert spec["minReadySeconds"] >= 2 + 1 + 5


@pytest.mark.parametrize("service", SCALED)
def test_pods_spread_over_nodes_and_zones(service: str) -> None:
    """The two constraints pick the pods that they spread."""
    constraints = pod_spec(service)["topologySpreadConstraints"]
    keys = [constraint["topologyKey"] for constraint in constraints]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(is_selected(item["labelSelector"], labels_of(service)) for item in constraints)


@pytest.mark.parametrize("folder", DEPLOYABLE)
@pytest.mark.parametrize("service", SERVICES)
def test_selectors_use_labels_that_never_change(folder: str, service: str) -> None:
    """A version in a selector would make the next release impossible to apply."""
    selector = deployment(service, folder)["spec"]["selector"]
    assert set(selector["matchLabels"]) == IDENTITY
    others = [other for other in SERVICES if other != service]
    assert is_selected(selector, labels_of(service, folder))
    assert not any(is_selected(selector, labels_of(other, folder)) for other in others)


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_everything_is_labelled_and_in_the_namespace(folder: str) -> None:
    """Every object names the application that it is part of and lies in the namespace queen."""
    for item in render(folder):
        metadata = item["metadata"]
        assert metadata["namespace"] == "queen", metadata["name"]
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "queen"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "kustomize"


def test_front_door_has_an_address_and_peers_have_none() -> None:
    """Callers get one cluster address; the peers are headless, so that calls are spread."""
    front = named("base", "Service", "queen-inference")["spec"]
    assert front["type"] == "ClusterIP"
    assert [(port["name"], port["port"]) for port in front["ports"]] == [("grpc-infer", 8001)]
    admin = named("base", "Service", "queen-sensitivity-admin")["spec"]
    assert [port["port"] for port in admin["ports"]] == [8103]


def test_dev_is_one_pod_of_each() -> None:
    """The small variant has one pod of each service and nothing that scales or guards them."""
    kinds = {item["kind"] for item in render("overlays/dev")}
    assert not kinds & {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert {deployment(s, "overlays/dev")["spec"]["replicas"] for s in SERVICES} == {1}


def test_alerts_look_at_series_that_exist() -> None:
    """Every series that an alert names is one that a service has, so none is silent for good."""
    rooms = (ROOT / "services", ROOT / "queen" / "serving")
    sources = "".join(path.read_text() for room in rooms for path in room.rglob("*.py"))
    made = set(re.findall(r'"(queen_[a-z_]+)"', sources))
    (rule,) = of_kind("components/prometheus", "PrometheusRule")
    rules = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
    looked_at = [set(re.findall(r"queen_[a-z_]+", alert["expr"])) for alert in rules]
    assert len(rules) >= 6
    assert all(looked_at)
    assert set.union(*looked_at) <= made


def test_prometheus_component_scrapes_the_metrics_ports() -> None:
    """The PodMonitor picks the pods of all three services by a port that each has."""
    (monitor,) = of_kind("components/prometheus", "PodMonitor")
    assert monitor["metadata"]["namespace"] == "queen"
    assert all(is_selected(monitor["spec"]["selector"], labels_of(s)) for s in SERVICES)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for service in SERVICES:
        (item,) = pod_spec(service)["containers"]
        assert endpoint["port"] in {port["name"] for port in item["ports"]}
