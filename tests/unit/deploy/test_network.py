"""The network lets through what a request needs, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.unit.deploy.manifests import (
    DEPLOYABLE,
    SERVICES,
    SHARED_LEDGER,
    container,
    is_selected,
    labels_of,
    of_kind,
)

INFERENCE_CALLERS = '{"namespaceSelector": {"matchLabels": {"queen.access/inference": "allow"}}}'
SCRAPERS = '{"namespaceSelector": {"matchLabels": {"queen.access/metrics": "allow"}}}'
REDIS = '{"namespaceSelector": {"matchLabels": {"queen.access/redis": "allow"}}}'
DNS = (
    '{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, '
    '"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}'
)
Arrow = tuple[str, str, str, str]


def peer_name(peer: dict[str, object], folder: str) -> str:
    """A service of ours by its name, anything else by its selectors."""
    if set(peer) == {"podSelector"}:
        picked = [s for s in SERVICES if is_selected(peer["podSelector"], labels_of(s, folder))]  # type: ignore[arg-type]
        return "+".join(picked)
    return json.dumps(peer, sort_keys=True)


def port_name(port: dict[str, object], service: str, folder: str) -> str:
    """`TCP/8001`, with the name of a container port resolved."""
    name_or_number = port["port"]
    if isinstance(name_or_number, str):
        (name_or_number,) = [
            item["containerPort"]
            for item in container(service, folder)["ports"]
            if item["name"] == name_or_number
        ]
    return f"{port['protocol']}/{name_or_number}"


def arrows(folder: str) -> set[Arrow]:
    """Every (service, direction, peer, port) that some policy allows."""
    allowed: set[Arrow] = set()
    for policy in of_kind(folder, "NetworkPolicy"):
        spec = policy["spec"]
        for service in SERVICES:
            if not is_selected(spec["podSelector"], labels_of(service, folder)):
                continue
            for direction, key in (("ingress", "from"), ("egress", "to")):
                for rule in spec.get(direction, []):
                    # A rule without peers or without ports allows all of them.
                    for peer in rule[key]:
                        for port in rule["ports"]:
                            name = port_name(port, service, folder)
                            allowed.add((service, direction, peer_name(peer, folder), name))
    return allowed


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_everything_is_denied_first(folder: str) -> None:
    """A policy picks every pod of the namespace and allows nothing in or out."""
    (deny,) = [
        policy["spec"]
        for policy in of_kind(folder, "NetworkPolicy")
        if policy["metadata"]["name"] == "default-deny"
    ]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_only_the_needed_arrows_exist(folder: str) -> None:
    """Callers reach the front door, it reaches its peers and DNS, Prometheus the metrics.

    Only where ledgers lie in a Redis does sensitivity call anybody.
    """
    to_redis = {
        ("sensitivity", "egress", REDIS, "TCP/6379"),
        ("sensitivity", "egress", DNS, "UDP/53"),
        ("sensitivity", "egress", DNS, "TCP/53"),
    }
    assert arrows(folder) == (to_redis if folder == SHARED_LEDGER else set()) | {
        ("inference", "ingress", INFERENCE_CALLERS, "TCP/8001"),
        ("inference", "egress", "sensitivity", "TCP/8101"),
        ("inference", "egress", "perturber", "TCP/8201"),
        ("inference", "egress", DNS, "UDP/53"),
        ("inference", "egress", DNS, "TCP/53"),
        ("sensitivity", "ingress", "inference", "TCP/8101"),
        ("perturber", "ingress", "inference", "TCP/8201"),
        ("inference", "ingress", SCRAPERS, "TCP/8002"),
        ("sensitivity", "ingress", SCRAPERS, "TCP/8102"),
        ("perturber", "ingress", SCRAPERS, "TCP/8202"),
    }


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_no_pod_reaches_the_admin_port(folder: str) -> None:
    """The port that shows every ledger has no arrow at all."""
    assert not [arrow for arrow in arrows(folder) if arrow[3] == "TCP/8103"]
