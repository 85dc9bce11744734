"""`queen bench honest` shows its figures and writes them as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from queen.cli.bench.honest import honest
from tests.bundles import make_bundle


def test_honest_writes_its_row_and_shows_it(tmp_path: Path) -> None:
    """The file has the machine and the figures, the table their titles."""
    small = make_bundle(tmp_path / "bundle", samples=1200)
    np.savez(tmp_path / "train.npz", x=small.inputs[:600])
    np.savez(tmp_path / "test.npz", x=small.inputs[600:])
    out = tmp_path / "deep" / "honest.json"
    words = ["--bundle", str(small.path), "--train", str(tmp_path / "train.npz")]
    words += ["--data", str(tmp_path / "test.npz"), "--budget", "10", "--accounts", "5"]
    done = CliRunner().invoke(honest, [*words, "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "5 honest accounts" in done.output
    written = json.loads(out.read_text())
    assert written["bench"] == "honest"
    assert written["machine"]["cores"]
    assert written["rows"][0]["accounts"] == 5
