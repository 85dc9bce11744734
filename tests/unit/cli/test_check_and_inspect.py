import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from queen.bundle import layout
from queen.cli import main
from queen.cli.accounts.file import account_lines
from tests.bundles import make_bundle
from tests.unit.bundle.made import reseal


@pytest.fixture
def bundle(tmp_path):
    """A bundle as `queen fit` would write it."""
    return make_bundle(tmp_path / "bundle").path


def run(*argv):
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(one) for one in argv])


def test_a_good_bundle_passes_every_check(bundle):
    """A bundle as written passes, and each part is named."""
    ran = run("check", bundle)
    assert ran.exit_code == 0, ran.output
    assert [line.split()[1] for line in ran.stdout.splitlines()] == [
        "manifest", "regions", "head", "shadows", "decoy", "meter", "protectee",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", [layout.PROTECTEE, layout.HEAD, layout.DECOY, layout.shadow_file(1)]
)
def test_one_flipped_byte_is_found(bundle, name):
    """A flipped byte in any file is a sentence that names the file."""
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert name in ran.stderr
    assert "copy the bundle again or refit" in ran.stderr


def test_a_missing_file_is_found(bundle):
    """A missing file is a sentence that names it."""
    (bundle / layout.HEAD).unlink()
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert "head.npz: the manifest lists this file, but it is missing" in ran.stderr


def test_a_decoy_for_other_inputs_is_found(bundle):
    """Its sketches would be of another width than those of the inputs that are served."""
    manifest = json.loads((bundle / layout.MANIFEST).read_text())
    manifest["input"]["shape"] = [-1, 5]
    (bundle / layout.MANIFEST).write_text(json.dumps(manifest))
    reseal(bundle, layout.HEAD, (bundle / layout.HEAD).read_bytes())
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert "wrong decoy: sketch width: expected 5, got 8" in ran.stderr


def test_a_meter_that_would_never_flag_is_found(bundle):
    """A NaN among its distances is one that no query exceeds."""
    with np.load(bundle / layout.REGIONS) as archive:
        arrays = dict(archive)
    arrays["tail_distance"][0] = np.nan
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    reseal(bundle, layout.REGIONS, buffer.getvalue())
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert "wrong meter" in ran.stderr
    assert "finite tail distances" in ran.stderr


@pytest.mark.parametrize("version", [1, 99])
def test_another_schema_version_is_found(bundle, version):
    """A manifest of an older or a newer version says which one is read and what to do."""
    manifest = json.loads((bundle / layout.MANIFEST).read_text())
    if version == 1:
        # As it was written: neither decoys nor a meter.
        del manifest["decoy"], manifest["meter"], manifest["files"][layout.DECOY]
    (bundle / layout.MANIFEST).write_text(json.dumps(manifest | {"schema_version": version}))
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert f"expected schema version 2, got {version}; refit" in ran.stderr
    assert "Traceback" not in ran.output


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max_batch_row: 8\n", "unknown key max_batch_row"),
        ("port: many\n", "port"),
        ("failure_mode: allow\n", "allow-clean-answers"),
    ],
)
def test_a_settings_typo_is_found(tmp_path, content, expected):
    """A wrong settings file is one sentence with the key at fault."""
    (tmp_path / "c.yaml").write_text(content)
    ran = run("check", tmp_path / "c.yaml", "--service", "inference")
    assert ran.exit_code == 1
    assert expected in ran.stderr


@pytest.mark.parametrize("service", ["inference", "sensitivity", "perturber"])
def test_good_settings_pass(tmp_path, service):
    """A settings file with keys that exist passes for every service."""
    state = "state: memory\n" if service == "sensitivity" else ""
    (tmp_path / "c.yaml").write_text(f"port: 0\nlog_level: debug\n{state}")
    assert run("check", tmp_path / "c.yaml", "--service", service).exit_code == 0


def test_accounts_files_are_told_apart(tmp_path):
    """An accounts file is checked as one; a wrong digest in it is found."""
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts:\n" + account_lines("a", "key"))
    assert run("check", file).exit_code == 0
    file.write_text("accounts:\n  - {id: a, key_sha256: short}\n")
    ran = run("check", file)
    assert ran.exit_code == 1
    assert "entry 1, key_sha256" in ran.stderr


def test_inspect_gives_thresholds_and_says_when_the_budget_does_not_fit(bundle):
    """The JSON holds T per class, null above the largest budget; the table prints."""
    document = json.loads(run("inspect", bundle, "--json", "--budget", "10").stdout)
    assert all(one["threshold"] > 0 for one in document["classes"])
    too_much = document["largest_budget"] + 1
    over = json.loads(run("inspect", bundle, "--json", "--budget", too_much).stdout)
    assert {one["threshold"] for one in over["classes"]} == {None}
    assert "too high" in run("inspect", bundle, "--budget", too_much).stdout
