"""An unlucky operator: each mistake is a sentence, and nothing is left half-started."""

import hashlib
import json
import os
import socket

import psutil
import pytest

from queen.bundle import layout
from queen.bundle.manifest import SCHEMA_VERSION
from tests.bundles import make_bundle
from tests.e2e.running_up import run_queen

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(tmp_path):
    """A bundle to spoil."""
    return make_bundle(tmp_path / "bundle").path


def refused(bundle, tmp_path, *flags):
    """Stderr of a `queen up` that must refuse, with one sentence and no process left."""
    state = tmp_path / "state"
    ran = run_queen("up", "--bundle", bundle, "--state", state, "--port", "0", *flags)
    assert ran.returncode not in {0, 1}, ran.stderr
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (state / "up.json").exists()
    assert not [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(state) in part for part in process.info["cmdline"] or ())
    ]
    return ran.stderr


def test_flipped_byte(bundle, tmp_path):
    """A flipped byte in the model."""
    content = bytearray((bundle / layout.PROTECTEE).read_bytes())
    content[100] ^= 1
    (bundle / layout.PROTECTEE).write_bytes(content)
    assert "protectee.onnx: expected SHA-256" in refused(bundle, tmp_path)


def test_other_manifest_version(bundle, tmp_path):
    """A manifest from an older version."""
    manifest = json.loads((bundle / layout.MANIFEST).read_text())
    (bundle / layout.MANIFEST).write_text(json.dumps(manifest | {"schema_version": 1}))
    assert f"expected schema version {SCHEMA_VERSION}, got 1; refit" in refused(bundle, tmp_path)


def test_missing_file(bundle, tmp_path):
    """A file of the bundle is gone."""
    (bundle / layout.REGIONS).unlink()
    assert "regions.npz: the manifest lists this file, but it is missing" in refused(
        bundle, tmp_path
    )


def test_no_bundle(tmp_path):
    """A folder that is not there."""
    assert "no bundle here" in refused(tmp_path / "none", tmp_path)


def test_wrong_secret(bundle, tmp_path):
    """A key file that was cut short."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "secret").write_bytes(b"short")
    assert "at least 16 bytes, got 5; restore it" in refused(bundle, tmp_path)


@pytest.mark.parametrize("content", ["{", "accounts: 3\n", "accounts: [{id: a, key: b}]\n"])
def test_wrong_accounts_file(bundle, tmp_path, content):
    """An accounts file that is none."""
    (tmp_path / "accounts.yaml").write_text(content)
    said = refused(bundle, tmp_path, "--accounts", tmp_path / "accounts.yaml")
    assert "accounts.yaml" in said
    assert "expected" in said


def test_port_in_use(bundle, tmp_path):
    """Somebody else listens on the port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        said = refused(bundle, tmp_path, "--port", str(port))
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in said


def test_not_an_onnx_file(bundle, tmp_path):
    """A bundle whose model is no ONNX graph, with digests that fit: the service says so."""
    (bundle / layout.PROTECTEE).write_bytes(b"not a graph")
    file = bundle / layout.MANIFEST
    manifest = json.loads(file.read_text())
    manifest["files"][layout.PROTECTEE] = hashlib.sha256(b"not a graph").hexdigest()
    del manifest["digest"]
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    file.write_text(json.dumps(manifest))
    said = refused(bundle, tmp_path)
    assert "inference did not start" in said
    assert "expected an ONNX file, got other bytes" in said


def test_settings_typo(bundle, tmp_path, monkeypatch):
    """A mistyped environment variable of a service is found before any starts."""
    monkeypatch.setitem(os.environ, "QUEEN_INFERENCE_THREAD", "2")
    said = refused(bundle, tmp_path)
    assert "QUEEN_INFERENCE_THREADS" in said
    assert not (tmp_path / "state" / "logs" / "sensitivity.log").exists()


def test_budget_above_the_packing_limit(bundle, tmp_path):
    """A budget that no account could ever reach."""
    assert "expected a budget of at most" in refused(bundle, tmp_path, "--budget", "1000000")


def test_account_budget_above_the_packing_limit(bundle, tmp_path):
    """The same for the budget of one account."""
    file = tmp_path / "accounts.yaml"
    digest = "ab" * 32
    file.write_text(f"accounts: [{{id: a, key_sha256: {digest}, budget: 1000000}}]\n")
    assert "entry 1, budget: expected at most" in refused(bundle, tmp_path, "--accounts", file)


def test_group_budget_above_the_packing_limit(bundle, tmp_path):
    """And for the budget of a group."""
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts: []\ngroups: [{id: g, budget: 1000000}]\n")
    assert "group 1, budget: expected at most" in refused(bundle, tmp_path, "--accounts", file)


def test_allow_without_its_second_setting(bundle, tmp_path):
    """Clean answers need to be asked for twice."""
    assert "allow-clean-answers" in refused(bundle, tmp_path, "--failure-mode", "allow")
