"""Every pod runs under the restricted standard, and a little less."""

from __future__ import annotations

import pytest

from tests.unit.deploy.manifests import (
    DEPLOYABLE,
    ENCRYPTED,
    SERVICES,
    SHARED_LEDGER,
    Document,
    named,
    pod_spec,
    render,
)

PODS = [(folder, service) for folder in DEPLOYABLE for service in SERVICES]


def pods() -> list[tuple[str, Document]]:
    """Every pod spec of every folder, with a name for it."""
    of_services = [(f"{folder} {service}", pod_spec(service, folder)) for folder, service in PODS]
    (loader,) = render("bundle-loader")
    return [*of_services, ("bundle-loader", loader["spec"])]


def test_namespace_refuses_less_than_restricted() -> None:
    """The namespace enforces the restricted pod security standard."""
    labels = named("storage/many-nodes", "Namespace", "queen")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(("name", "spec"), pods(), ids=[name for name, _ in pods()])
class TestPod:
    def test_runs_as_an_unprivileged_user(self, name: str, spec: Document) -> None:
        """A pod runs with a high user id, never root, under the runtime's seccomp profile."""
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] >= 10_000
        assert security["runAsGroup"] >= 10_000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}

    def test_containers_can_gain_nothing(self, name: str, spec: Document) -> None:
        """No container has a capability, a way to gain one, or a root that it can write to."""
        for item in [*spec["containers"], *spec.get("initContainers", [])]:
            security = item["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in security

    def test_shares_nothing_with_its_node(self, name: str, spec: Document) -> None:
        """No pod joins a namespace of its node or mounts one of its folders."""
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}

    def test_holds_no_token_of_the_cluster(self, name: str, spec: Document) -> None:
        """No pod gets a service account token."""
        assert spec["automountServiceAccountToken"] is False, name

    def test_gets_no_variables_for_services(self, name: str, spec: Document) -> None:
        """Kubernetes sets no QUEEN_INFERENCE_PORT, which would be a setting of ours."""
        assert spec["enableServiceLinks"] is False, name

    def test_memory_is_reserved_in_full(self, name: str, spec: Document) -> None:
        """Memory request and limit are one number, and there is a CPU request."""
        for item in spec["containers"]:
            resources = item["resources"]
            assert resources["requests"]["memory"] == resources["limits"]["memory"], name
            assert resources["requests"]["cpu"]


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_each_service_has_an_identity_without_rights(folder: str) -> None:
    """Three service accounts, each without a token, and no role anywhere."""
    names = {pod_spec(service, folder)["serviceAccountName"] for service in SERVICES}
    assert names == {"queen-inference", "queen-sensitivity", "queen-perturber"}
    assert all(
        named(folder, "ServiceAccount", name)["automountServiceAccountToken"] is False
        for name in names
    )
    assert not [item for item in render(folder) if "Role" in item["kind"]]


@pytest.mark.parametrize(("folder", "service"), PODS)
def test_bundle_and_secrets_are_read_only(folder: str, service: str) -> None:
    """Only the ledger's folder and /tmp can be written to."""
    spec = pod_spec(service, folder)
    (item,) = spec["containers"]
    writable = {mount["mountPath"] for mount in item["volumeMounts"] if not mount.get("readOnly")}
    has_ledger = service == "sensitivity" and folder != SHARED_LEDGER
    assert writable == {"/tmp"} | ({"/state"} if has_ledger else set())  # noqa: S108 - a mount
    (bundle,) = [volume for volume in spec["volumes"] if volume["name"] == "bundle"]
    assert bundle["persistentVolumeClaim"] == {"claimName": "queen-bundle", "readOnly": True}


@pytest.mark.parametrize("folder", [*DEPLOYABLE, "storage/many-nodes", "bundle-loader"])
def test_no_secret_lies_in_the_repository(folder: str) -> None:
    """Secrets are referred to, never written down."""
    assert not [item for item in render(folder) if item["kind"] == "Secret"]


@pytest.mark.parametrize("folder", DEPLOYABLE)
def test_secrets_reach_only_the_service_that_needs_them(folder: str) -> None:
    """Accounts go to the front door, operators to sensitivity, and each has its own TLS key."""
    held = {
        service: {
            volume["secret"]["secretName"]
            for volume in pod_spec(service, folder)["volumes"]
            if "secret" in volume
        }
        for service in SERVICES
    }
    redis = {"queen-redis"} if folder == SHARED_LEDGER else set()
    needed = {
        "inference": {"queen-accounts"},
        "sensitivity": {"queen-operators"} | redis,
        "perturber": {"queen-perturber"},
    }
    if folder == ENCRYPTED:
        needed = {service: own | {f"queen-{service}-tls"} for service, own in needed.items()}
    assert held == needed
