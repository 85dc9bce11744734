"""The manifests as a cluster would receive them."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
K8S = ROOT / "deploy/k8s"
SERVICES = ("inference", "sensitivity", "perturber")
DEPLOYABLE = ("base", "overlays/dev", "overlays/gpu", "overlays/redis", "overlays/tls")
"""Folders that render to a whole deployment."""
ENCRYPTED = "overlays/tls"
"""The one of them whose ports speak TLS."""
SHARED_LEDGER = "overlays/redis"
"""The one of them whose ledgers lie in a Redis; the others have one writer and a claim."""

Document = dict[str, Any]


@cache
def render(folder: str) -> list[Document]:
    """Documents of the kustomization in `deploy/k8s/<folder>`."""
    kubectl = shutil.which("kubectl")
    assert kubectl, (
        "the manifest tests need kubectl 1.28 or newer on the PATH, with its built-in "
        "kustomize; no cluster is needed. Install it and run them again"
    )
    done = subprocess.run(
        [kubectl, "kustomize", str(K8S / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"kubectl kustomize {folder}: {done.stderr}"
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(folder: str, kind: str) -> list[Document]:
    """Documents of one kind."""
    return [document for document in render(folder) if document["kind"] == kind]


def named(folder: str, kind: str, name: str) -> Document:
    """The one document of that kind and name."""
    (document,) = [item for item in of_kind(folder, kind) if item["metadata"]["name"] == name]
    return document


def deployment(service: str, folder: str = "base") -> Document:
    """Deployment of a service."""
    return named(folder, "Deployment", f"queen-{service}")


def pod_spec(service: str, folder: str = "base") -> Document:
    """Pod spec of a service."""
    spec: Document = deployment(service, folder)["spec"]["template"]["spec"]
    return spec


def container(service: str, folder: str = "base") -> Document:
    """The one container of a service."""
    (only,) = pod_spec(service, folder)["containers"]
    return dict(only)


def config_text(service: str, folder: str = "base") -> str:
    """The config.yaml that the pods of a service mount."""
    (volume,) = [item for item in pod_spec(service, folder)["volumes"] if item["name"] == "config"]
    data = named(folder, "ConfigMap", volume["configMap"]["name"])["data"]
    assert list(data) == ["config.yaml"]
    return str(data["config.yaml"])


def config(service: str, folder: str = "base") -> Document:
    """The settings in that file."""
    return dict(yaml.safe_load(config_text(service, folder)))


def labels_of(service: str, folder: str = "base") -> dict[str, str]:
    """Labels of the pods of a service."""
    return dict(deployment(service, folder)["spec"]["template"]["metadata"]["labels"])


def is_selected(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector with matchLabels only picks something with these labels."""
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()
