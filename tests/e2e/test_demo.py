"""The main job: `queen demo` on real data, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEYS = {
    *("protectee_accuracy", "honest_accuracy", "honest_queries", "honest_flips_before_budget"),
    *("thief_queries", "thief_accuracy_undefended", "thief_accuracy_label_only"),
    *("thief_accuracy_defended", "clean_prefix_floor", "reversed_fraction", "seed"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """Run the demo once, in a folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "queen.cli", "demo", "--out", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_thief_loses_and_the_honest_account_does_not(demo: Path):
    """At least 5 points off the thief's copy; no honest label changed within the budget."""
    report = json.loads((demo / "report.json").read_text())
    assert set(report) >= KEYS
    assert report["thief_queries"] >= 2000
    lost = report["thief_accuracy_undefended"] - report["thief_accuracy_defended"]
    assert lost >= 0.05
    assert report["honest_flips_before_budget"] == 0
    assert report["honest_accuracy"] >= report["protectee_accuracy"] - 0.05
    assert 0.0 < report["reversed_fraction"] < 1.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_leaves_a_bundle_and_pictures(demo: Path):
    """The bundle can be served again, and every picture is a PNG."""
    assert (demo / "bundle" / "manifest.json").is_file()
    for name in ("thief", "honest", "embedding_map"):
        assert (demo / f"{name}.png").read_bytes().startswith(b"\x89PNG")
