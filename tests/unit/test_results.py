"""The published figures are the measured ones."""

from __future__ import annotations

import json
from pathlib import Path

from queen.demo.results import render_results

DOCS = Path(__file__).parents[2] / "docs"


def test_the_results_page_is_what_the_files_say() -> None:
    """No figure on the page was typed by hand: `make results` writes it again unchanged."""
    assert (DOCS / "results.md").read_text() == render_results(DOCS / "results")


def test_rows_of_the_red_team_get_a_section_with_their_command(tmp_path: Path) -> None:
    """A report.json beside the other files becomes tables under the command that made it."""
    for file in (DOCS / "results").glob("[bd]*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert "## The red team" not in render_results(tmp_path)
    row = {
        "dataset": "digits",
        "defense": "none",
        "profile": None,
        "budget": None,
        "attack": "knockoff",
        "pool": "in-distribution",
        "accounts": 1,
        "linked": False,
        "queries": 1000,
        "seed": 0,
        "clone_accuracy": 0.875,
        "fidelity": 0.9,
        "honest_accuracy": 0.95,
        "honest_flip_rate": 0.0,
        "honest_curve": [[0, 0.95]],
        "mean_l1": 0.0,
        "reversed_fraction": None,
        "label_only_floor": 0.86,
        "clean_prefix_floor": None,
        "clean_prefix_queries": None,
    }
    (tmp_path / "redteam-digits.json").write_text(json.dumps([row]))
    page = render_results(tmp_path)
    assert "### digits: `queen redteam --smoke`" in page
    assert "| none | 87.5 | **87.5** | knockoff | 90.0 | - | 86.0 | 95.0 |" in page


def test_honest_accounts_and_links_get_sections(tmp_path: Path) -> None:
    """What the benches wrote becomes a row for each seed and split."""
    for file in (DOCS / "results").glob("[bd]*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    honest = {
        "seed": 0,
        "budget": 100,
        "accounts": 1000,
        "volume": 1029,
        "reversed_before_volume": 0,
        "flagged": {"1029": 0, "500": 0, "10000": 2},
    }
    links = {
        "seed": 0,
        "split": "a tenth in common",
        "accounts": 12,
        "queries_each": 500,
        "auc": 0.75,
        "linked": 0.5,
        "false_links": 0.0,
    }
    (tmp_path / "honest-a.json").write_text(json.dumps({"rows": [honest]}))
    (tmp_path / "links-a.json").write_text(json.dumps({"rows": [links]}))
    page = render_results(tmp_path)
    assert "| 0 | 100 | 1,000 | 1,029 | 0 | 0 | 0 | 2 |" in page
    assert "| 0 | a tenth in common | 12 x 500 | 0.750 | 50.0 | 0.0 |" in page
