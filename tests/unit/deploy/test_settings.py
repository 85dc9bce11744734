"""The services understand the settings that the manifests give them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from queen_inference.peers.endpoints import read_target

from queen import defaults
from queen.cli.up.plan import settings_of
from queen.serving.settings_sources import load_settings
from tests.unit.deploy.manifests import (
    DEPLOYABLE,
    ENCRYPTED,
    SERVICES,
    SHARED_LEDGER,
    config,
    config_text,
    container,
    is_selected,
    labels_of,
    named,
    pod_spec,
)

PODS = [(folder, service) for folder in DEPLOYABLE for service in SERVICES]
KILL_MARGIN_SECONDS = 10
"""Time that a process needs beyond its own waits to be gone before it is killed."""


def effective(service: str, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Settings as the pod would load them: its file and its variables."""
    file = tmp_path / "config.yaml"
    file.write_text(config_text(service, folder))
    for variable in container(service, folder).get("env", []):
        monkeypatch.setenv(variable["name"], variable["value"])
    return load_settings(settings_of(service), ["--config", str(file)])


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_service_accepts_its_settings(
    folder: str, service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The service's own loader accepts the file and the variables, every key of them."""
    settings = effective(service, folder, monkeypatch, tmp_path)
    assert settings.bundle == Path("/bundle")
    assert settings.host == "0.0.0.0"  # noqa: S104 - a pod listens on its own address


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_pods_choose_as_an_operator_who_states_nothing(
    folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The manifests serve the defaults of `queen.defaults`."""
    door = effective("inference", folder, monkeypatch, tmp_path)
    ledgers = effective("sensitivity", folder, monkeypatch, tmp_path)
    assert door.default_profile == defaults.PROFILE
    assert ledgers.crossing == (defaults.BUDGET, defaults.BREADTH, defaults.CLASS_CAP)


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_every_prefixed_variable_is_a_setting(folder: str, service: str) -> None:
    """A variable with a service's prefix is a field of that service's settings."""
    prefix = f"QUEEN_{service.upper()}_"
    names = [variable["name"] for variable in container(service, folder).get("env", [])]
    ours = [name for name in names if name.startswith("QUEEN_")]
    assert all(name.startswith(prefix) for name in ours)
    fields = settings_of(service).model_fields
    assert all(name.removeprefix(prefix).lower() in fields for name in ours)
    assert settings_of(service).model_config["env_prefix"] == prefix


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_config_flag_names_the_mounted_file(folder: str, service: str) -> None:
    """`--config` points into the folder where the ConfigMap is mounted."""
    item = container(service, folder)
    flag, path = item["args"]
    (mount,) = [mount for mount in item["volumeMounts"] if mount["name"] == "config"]
    assert (flag, path) == ("--config", f"{mount['mountPath']}/config.yaml")


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_every_path_lies_on_a_volume(folder: str, service: str) -> None:
    """Bundle, accounts, operators, secret and ledger are paths under a mount of the pod."""
    mounts = [PurePosixPath(m["mountPath"]) for m in container(service, folder)["volumeMounts"]]
    settings = config(service, folder)
    keys = ("bundle", "accounts", "operators", "secret_file", "state", "redis_password_file")
    keys += ("redis_ca_file",)
    paths = [settings[key] for key in keys if "://" not in settings.get(key, "://")]
    of_sensitivity = 4 if folder == SHARED_LEDGER else 3
    assert len(paths) == (of_sensitivity if service == "sensitivity" else 2)
    variables = container(service, folder)["env"]
    paths += [item["value"] for item in variables if item["name"].endswith("_FILE")]
    assert all(any(PurePosixPath(p).is_relative_to(m) for m in mounts) for p in paths), paths


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_container_ports_are_the_configured_ones(folder: str, service: str) -> None:
    """A pod declares each port that its settings open, and no other."""
    settings = config(service, folder)
    keys = ("port", "metrics_port", "admin_port", "health_port")
    opened = {settings[key] for key in keys if key in settings}
    assert {port["containerPort"] for port in container(service, folder)["ports"]} == opened


@pytest.mark.parametrize("folder", DEPLOYABLE)
@pytest.mark.parametrize("peer", ["sensitivity", "perturber"])
def test_targets_are_services_of_the_deployment(folder: str, peer: str) -> None:
    """The front door dials a headless Service that picks the peer's pods on its port."""
    scheme, _, address = config("inference", folder)[f"{peer}_target"].partition(":///")
    name, _, port = address.partition(":")
    service = named(folder, "Service", name)["spec"]
    assert scheme == "dns"
    assert service["clusterIP"] == "None"
    assert is_selected({"matchLabels": service["selector"]}, labels_of(peer, folder))
    assert [item["port"] for item in service["ports"]] == [int(port)]
    # A headless Service does not translate ports: the pod must listen on this very one.
    assert int(port) == config(peer, folder)["port"]


def test_an_account_stays_with_a_pod_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The front door looks up the pods by itself, and follows them."""
    settings = effective("inference", SHARED_LEDGER, monkeypatch, tmp_path)
    (place,) = read_target(settings.sensitivity_target)
    assert place.is_name


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_grace_period_covers_the_shutdown(folder: str, service: str) -> None:
    """A pod is killed only after the wait, the drain and a margin are over."""
    settings = config(service, folder)
    needed = settings["prestop_seconds"] + settings["drain_seconds"] + KILL_MARGIN_SECONDS
    assert pod_spec(service, folder)["terminationGracePeriodSeconds"] >= needed


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_threads_fit_the_cpu_limit(folder: str, service: str) -> None:
    """The numeric library starts no more threads than the pod may run."""
    item = container(service, folder)
    variables = {variable["name"]: variable["value"] for variable in item["env"]}
    assert int(variables["OMP_NUM_THREADS"]) <= int(item["resources"]["limits"]["cpu"])


def test_clean_answers_need_more_than_the_manifests() -> None:
    """The deployment protects when a peer fails; it never says that clean answers may leave."""
    settings = config("inference")
    assert settings["failure_mode"] == "protect"
    assert "allow_clean_answers" not in settings


@pytest.mark.parametrize("peer", ["sensitivity", "perturber"])
def test_with_tls_a_peer_admits_the_front_door_alone(
    peer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the name that the front door's certificate has; the peer's own is the target's host."""
    settings = effective(peer, ENCRYPTED, monkeypatch, tmp_path)
    assert settings.tls_files.authorities == Path("/etc/queen/tls/ca.crt")
    assert settings.callers == "queen-inference"
    assert not settings.allow_anonymous_callers
    door = effective("inference", ENCRYPTED, monkeypatch, tmp_path)
    assert door.peer_files.authorities == Path("/etc/queen/tls/ca.crt")
    assert getattr(door, f"expected_{peer}_name") == f"queen-{peer}"
    assert door.tls_files.authorities is None


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_the_admin_port_is_on_loopback(
    folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Forwarding a port reaches it, and another pod does not, whatever the network lets through."""
    settings = effective("sensitivity", folder, monkeypatch, tmp_path)
    assert settings.admin_host == "127.0.0.1"
    assert settings.operators is not None
