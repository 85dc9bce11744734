"""The main job: `queen demo` on real data, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


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
def test_the_thieves_lose_and_three_of_four_customers_do_not(demo: Path):
    """Each copy is at most 3 points above that of its clean answers; the fourth asks too much."""
    report = json.loads((demo / "report.json").read_text())
    assert len(report["thieves"]) == 3
    for thief in report["thieves"]:
        assert thief["queries"] >= 2000
        assert 0 < thief["clean"] < thief["queries"]
        assert thief["defended"] <= thief["floor"] + 0.03
    like_its_own, _, of_another_kind = report["thieves"]
    assert like_its_own["defended"] <= like_its_own["undefended"] - 0.02
    assert of_another_kind["defended"] <= of_another_kind["undefended"] - 0.2
    *spared, _ = report["customers"]
    assert len(spared) == 3
    for customer in spared:
        assert (customer["changed"], customer["refused"], customer["first"]) == (0, 0, None)
        assert customer["right"] >= report["protectee"] - 0.05


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_leaves_a_bundle_and_pictures(demo: Path):
    """The bundle can be served again, and every picture is a PNG."""
    assert (demo / "bundle" / "manifest.json").is_file()
    for name in ("demo", "embedding_map"):
        assert (demo / f"{name}.png").read_bytes().startswith(b"\x89PNG")
