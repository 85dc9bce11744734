"""The names of the images, and the promises of their Dockerfiles."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

import queen
from tests.unit.deploy.manifests import (
    DEPLOYABLE,
    ROOT,
    SERVICES,
    config,
    container,
    pod_spec,
    render,
)

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def instructions(service: str) -> list[tuple[str, str]]:
    """(instruction, argument) of each line of a Dockerfile, continuations joined."""
    text = (ROOT / "services" / service / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    parts = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(word.upper(), argument.strip()) for word, argument in parts]


def arguments(service: str, instruction: str) -> list[str]:
    """Arguments of every such instruction, in order."""
    return [argument for word, argument in instructions(service) if word == instruction]


@pytest.mark.parametrize("folder", DEPLOYABLE)
@pytest.mark.parametrize("service", SERVICES)
def test_image_is_of_this_version(folder: str, service: str) -> None:
    """A pod runs the image of this release, by a tag that does not move."""
    image, _, tag = container(service, folder)["image"].partition(":")
    assert image == f"queen-{service}"
    is_gpu = folder == "overlays/gpu" and service == "perturber"
    assert tag == queen.__version__ + ("-gpu" if is_gpu else "")


def test_version_label_is_of_this_version() -> None:
    """Every object of base carries the version of the library."""
    versions = {item["metadata"]["labels"]["app.kubernetes.io/version"] for item in render("base")}
    assert versions == {queen.__version__}


def test_gpu_overlay_asks_for_a_gpu_and_uses_it() -> None:
    """The perturber gets one GPU, and fails rather than falls back without it."""
    item = container("perturber", "overlays/gpu")
    assert item["resources"]["limits"]["nvidia.com/gpu"] in (1, "1")
    variables = {variable["name"]: variable["value"] for variable in item["env"]}
    assert variables["QUEEN_PERTURBER_DEVICE"] == "cuda"
    assert config("perturber")["device"] == "cpu"
    tolerations = pod_spec("perturber", "overlays/gpu")["tolerations"]
    assert [toleration["key"] for toleration in tolerations] == ["nvidia.com/gpu"]


@pytest.mark.parametrize("service", SERVICES)
class TestDockerfile:
    def test_base_image_is_pinned(self, service: str) -> None:
        """The two stages start from one patch release of Python, to which a digest can be added."""
        bases = [argument.split()[0] for argument in arguments(service, "FROM")]
        assert len(bases) == 2
        for base in bases:
            assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+\$\{PYTHON_DIGEST\}", base), base

    def test_runs_as_an_unprivileged_user(self, service: str) -> None:
        """The image names a user id of 10000 or more, the one that the pods use."""
        (user,) = arguments(service, "USER")
        user_id = int(user.split(":")[0])
        assert user_id >= 10_000
        assert user_id == pod_spec(service)["securityContext"]["runAsUser"]

    def test_starts_its_own_service_without_a_shell(self, service: str) -> None:
        """The entry point is the module, in exec form, so that it gets the signals."""
        (entry,) = arguments(service, "ENTRYPOINT")
        assert json.loads(entry) == ["python", "-m", f"queen_{service}"]

    def test_installs_one_extra_under_the_constraints(self, service: str) -> None:
        """The default extra is the service's own, its GPU twin exists, versions are the tested."""
        defaults = [a.removeprefix("EXTRA=") for a in arguments(service, "ARG") if "EXTRA=" in a]
        assert defaults == [service]
        assert {service, f"{service}-gpu"} <= set(EXTRAS)
        installs = [run for run in arguments(service, "RUN") if "pip install" in run]
        assert installs
        assert all("--constraint constraints.txt" in run for run in installs)

    def test_carries_the_standard_labels(self, service: str) -> None:
        """Version, revision, source and license can be read from the image."""
        (labels,) = arguments(service, "LABEL")
        for name in ("version", "revision", "source", "licenses", "title"):
            assert f"org.opencontainers.image.{name}=" in labels

    def test_leaves_health_to_kubernetes(self, service: str) -> None:
        """No HEALTHCHECK: probes ask over gRPC."""
        assert arguments(service, "HEALTHCHECK") == []

    def test_exposes_the_ports_of_the_settings(self, service: str) -> None:
        """EXPOSE names the ports that the deployment opens."""
        (exposed,) = arguments(service, "EXPOSE")
        settings = config(service)
        keys = ("port", "metrics_port", "admin_port")
        assert {int(p) for p in exposed.split()} == {settings[k] for k in keys if k in settings}

    def test_final_stage_holds_the_environment_only(self, service: str) -> None:
        """Nothing of the repository, no model and no key is copied into the final stage."""
        lines = instructions(service)
        last = max(index for index, (word, _) in enumerate(lines) if word == "FROM")
        copies = [argument for word, argument in lines[last:] if word in {"COPY", "ADD"}]
        assert copies == ["--from=build /opt/queen /opt/queen"]
        assert not [argument for word, argument in lines[last:] if word == "RUN"]


def test_build_context_is_an_allow_list() -> None:
    """Only what the wheel is built from is sent to the builder."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert allowed == {
        *("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "queen", "services")
    }
