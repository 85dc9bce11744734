"""`queen bench frontier`: its options become a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from queen.cli.bench.frontier import frontier
from queen.defaults import BUDGET
from queen.method.crossing import CAP_OFF
from queen.redteam.frontier import report
from queen.redteam.frontier.sweep import Sweep
from queen.redteam.runs.workers import Folders


def test_options_become_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breadths and caps may be repeated; `off` is a cap."""
    sweeps: list[tuple[Sweep, Folders]] = []
    monkeypatch.setattr(
        report, "report_frontier", lambda sweep, folders, *_rest: sweeps.append((sweep, folders))
    )
    argv = ["--breadths", "2", "--breadths", "6", "--caps", "off", "--caps", "3"]
    argv += ["--accounts", "7", "--out", str(tmp_path), "--seeds", "1", "--seeds", "2"]
    done = CliRunner().invoke(frontier, argv, catch_exceptions=False)
    assert done.exit_code == 0
    sweep, folders = sweeps[0]
    assert (sweep.breadths, sweep.caps, sweep.seeds) == ((2, 6), (CAP_OFF, 3), (1, 2))
    assert (sweep.dataset, sweep.budget, sweep.honest_accounts) == ("fashion-mnist", BUDGET, 7)
    assert folders == Folders(tmp_path, Path("build/redteam/cache"), None)
