import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save

from queen.bundle import layout
from queen.cli import main
from tests.bundles import make_bundle
from tests.unit.bundle.made import reseal


@pytest.fixture
def bundle(tmp_path):
    """A bundle as `queen fit` would write it."""
    return make_bundle(tmp_path / "bundle").path


def run(*argv):
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in argv])


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
    assert f"expected schema version 3, got {version}; refit" in ran.stderr
    assert "Traceback" not in ran.output


def test_shadows_that_are_not_finite_are_found(bundle):
    """No service compares a NaN with anything before it is in an answer."""
    name = layout.shadow_file(1)
    tensors = load_file(bundle / name)
    tensors["body.1.bias"][0] = np.nan
    reseal(bundle, name, save(tensors))
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert "wrong shadows: shadow 1: its weights are not finite" in ran.stderr


def test_every_part_is_checked_after_a_wrong_one(bundle):
    """One wrong part hides no other: all are named, each in a line of its own."""
    reseal(bundle, layout.HEAD, b"not a zip")
    ran = run("check", bundle)
    assert ran.exit_code == 1
    assert [line.split()[1].strip(":") for line in ran.stderr.splitlines()] == ["head", "protectee"]
    assert len(ran.stdout.splitlines()) == 5
