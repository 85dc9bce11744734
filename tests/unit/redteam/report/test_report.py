"""From rows to tables: means, deviations, and the worst of all attacks."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from queen.redteam.report.markdown import percent, render_report
from queen.redteam.report.report import Report, write_report
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import over_seeds, standings


def _row(attack: str, seed: int, clone: float | None, **change: object) -> Row:
    return {
        "cell": f"{attack}-{seed}-{sorted(change.items())}",
        "dataset": "digits",
        "defense": "queen",
        "profile": "paper",
        "budget": 10,
        "attack": attack,
        "pool": "in-distribution",
        "accounts": 1,
        "linked": False,
        "queries": 1000,
        "seed": seed,
        "clone_accuracy": clone,
        "fidelity": clone,
        "honest_accuracy": 0.9 + 0.01 * seed,
        "honest_flip_rate": 0.05,
        "honest_curve": [[0, 0.95], [500, None]],
        "mean_l1": 0.5,
        "reversed_fraction": 0.25,
        "clean_prefix_floor": 0.6,
        "clean_prefix_queries": 120,
        "label_only_floor": 0.55,
        **change,
    }


ROWS = [
    _row("knockoff", 0, 0.70),
    _row("knockoff", 1, 0.80),
    _row("d-dae", 0, 0.90, reversed_fraction=0.5),
    _row("d-dae", 1, 0.60),
]
BASELINE = {
    "defense": "none",
    "profile": None,
    "budget": None,
    "reversed_fraction": None,
    "clean_prefix_floor": None,
    "clean_prefix_queries": None,
    "mean_l1": 0.0,
}


def test_the_worst_is_taken_seed_by_seed():
    """Max over attacks of each seed, then mean and standard deviation of the sample."""
    (standing,) = standings(ROWS)
    assert standing.worst.mean == pytest.approx((0.9 + 0.8) / 2)
    assert standing.worst.sd == pytest.approx(0.1 / math.sqrt(2))
    assert standing.worst.seeds == 2
    assert standing.worst_attack in {"knockoff", "d-dae"}


def test_an_attack_has_its_own_mean():
    """Plain copies are those of knockoff, whatever else was run."""
    (standing,) = standings(ROWS)
    assert standing.plain is not None
    assert standing.plain.mean == pytest.approx(0.75)
    assert standing.attacks["d-dae"].mean == pytest.approx(0.75)
    assert standing.traffic["reversed_fraction"].mean == pytest.approx(0.25)


def test_shared_figures_count_once_a_seed():
    """An honest account does not weigh more where more attacks were run."""
    (standing,) = standings([*ROWS, _row("s4l", 1, 0.1)])
    assert standing.figures["honest_accuracy"].mean == pytest.approx(0.905)
    assert standing.curve[0][1].mean == pytest.approx(0.95)
    assert standing.curve[1] == (500, None)


@pytest.mark.parametrize(
    "change", [{"profile": "safe"}, {"budget": 20}, {"pool": "mixup"}, {"accounts": 4}]
)
def test_settings_are_kept_apart(change: dict[str, object]):
    """Profile, budget, pool and accounts each make a standing of their own."""
    assert len(standings([*ROWS, _row("knockoff", 0, 0.5, **change)])) == 2


def test_one_seed_has_no_deviation():
    """A single figure is told without one, and none at all is none."""
    assert over_seeds([0.5]).sd is None
    assert over_seeds([None]) is None
    assert percent(over_seeds([0.5])) == "50.0"
    assert percent(over_seeds([0.5, 0.7])) == "60.0 ± 14.1"
    assert percent(None) == "-"


def test_the_page_has_the_floors_beside_the_worst():
    """Every defense has a line with worst, floors, honest accuracy, and what was left out."""
    rows = [*ROWS, _row("knockoff", 0, 0.95, **BASELINE)]
    page = render_report(standings(rows), "queen redteam", "Nothing else.", ["d-dae on none"])
    (line,) = [line for line in page.splitlines() if line.startswith("| paper n10 | 75.0")]
    assert "**85.0 ± 7.1**" in line
    assert "60.0 ± 0.0 (120)" in line
    assert "90.5" in line
    assert "| none | 95.0 |" in page
    assert "Nothing else." in page
    assert "- d-dae on none" in page
    assert "nan" not in page.lower()


def test_a_report_is_written_in_four_forms(tmp_path: Path):
    """JSON and CSV hold the rows, Markdown the tables, PNG the pictures; the table is shown."""
    rows = [
        *ROWS,
        _row("knockoff", 0, 0.95, **BASELINE),
        _row("knockoff", 0, 0.5, queries=500),
        _row("knockoff", 0, 0.85, budget=20),
        _row("knockoff", 0, 0.9, accounts=4, linked=True),
    ]
    console = Console(record=True, width=120)
    write_report(Report(rows, "queen redteam --smoke"), tmp_path, console)
    assert json.loads((tmp_path / "report.json").read_text()) == rows
    with (tmp_path / "report.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert "queen redteam --smoke" in (tmp_path / "report.md").read_text()
    for name in ("clone_by_budget", "pareto", "honest_history", "sybil"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "paper n10" in console.export_text()


def test_rows_without_a_copy_make_an_empty_page(tmp_path: Path):
    """A row that has nothing to compare is told with its reason."""
    rows = [_row("d-dae", 0, None, note="no class 3")]
    write_report(Report(rows, "c"), tmp_path, Console(quiet=True))
    assert "- d-dae on paper n10, seed 0: no class 3" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "pareto.png").exists()
