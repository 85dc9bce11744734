"""Triton's own client, unchanged and in its own environment, against `queen up`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from queen.deployment import Deployment
from tests.bundles import make_bundle

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "triton-venv"
TRITONCLIENT = "tritonclient[grpc]==2.73.0"


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """Python of an environment that holds tritonclient; made once, kept in build/."""
    python = ENVIRONMENT / "bin" / "python"
    done = ENVIRONMENT / ".ready"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", TRITONCLIENT], check=True, timeout=300
        )
        done.touch()
    return python


@pytest.mark.timeout(400)
def test_triton_clients_work_unchanged(interpreter: Path, tmp_path: Path) -> None:
    """Health, metadata and probabilities come through; each mistake gets its code and words."""
    bundle = make_bundle(tmp_path / "bundle")
    with Deployment(bundle=bundle.path, state=tmp_path / "state", profile="observe") as running:
        done = subprocess.run(
            [
                str(interpreter),
                str(Path(__file__).with_name("triton_session.py")),
                running.endpoint,
                running.key,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert (got["live"], got["ready"], got["model_ready"]) == (True, True, True)
    assert not got["unknown_ready"]
    assert (got["server"], got["input"], got["id"]) == ("queen", "x", "r-1")

    rows = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 8)
    session = onnxruntime.InferenceSession(str(bundle.path / "protectee.onnx"))
    (expected,) = session.run(["probabilities"], {"x": rows})
    # Under `observe` the answers are the protectee's own, bit for bit.
    assert np.array_equal(np.float32(got["probabilities"]), expected)
    assert got["after"] == got["probabilities"]

    refusals = {
        what: code.removeprefix("StatusCode.") for what, (code, _) in got["refusals"].items()
    }
    assert refusals == {
        **dict.fromkeys(("name", "shape", "type", "bytes", "nan"), "INVALID_ARGUMENT"),
        "model": "NOT_FOUND",
        "no key": "UNAUTHENTICATED",
        "huge": "RESOURCE_EXHAUSTED",
    }
    for what, words in {
        "name": "expected input 'x', got 'y'",
        "shape": "got [3, 5]",
        "type": "expected datatype FP32, got 'FP64'",
        "bytes": "expected 128 bytes for shape [4, 8] of FP32, got 96",
    }.items():
        assert words in got["refusals"][what][1]
