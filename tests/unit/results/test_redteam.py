"""The section on the red team."""

from __future__ import annotations

import json
from pathlib import Path

from queen.redteam.learner import LEARNER
from queen.redteam.report.leaks import write_leaks
from queen.results.page import render_results
from tests.unit.redteam.report.sample_rows import leak_row

DOCS = Path(__file__).parents[3] / "docs"


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
        "breadth": None,
        "class_cap": None,
        "attack": "knockoff",
        "pool": "in-distribution",
        "accounts": 1,
        "linked": False,
        "queries": 1000,
        "members": 1,
        "learner": LEARNER,
        "protectee_accuracy": 0.97,
        "cell": "knockoff",
        "seed": 0,
        "clone_accuracy": 0.875,
        "fidelity": 0.9,
        "honest_by_kind": {
            "even": {"accuracy": 0.95, "flip_rate": 0.0, "refused": 0.0, "curve": [[0, 0.95]]}
        },
        "mean_l1": 0.0,
        "reversed_fraction": None,
        "label_only_floor": 0.86,
        "clean_prefix_floor": None,
        "clean_prefix_queries": None,
    }
    older = {**row, "attack": "label-only", "clone_accuracy": 0.99, "learner": None}
    (tmp_path / "redteam-digits.json").write_text(json.dumps([row, older]))
    nothing = dict.fromkeys(("profile", "budget", "breadth", "class_cap"))
    leak = leak_row(defense="none", rows="all", **nothing)
    write_leaks([leak], "queen redteam --leak", tmp_path / "leak-digits.json")
    page = render_results(tmp_path)
    assert "### digits: `queen redteam --smoke`" in page
    # Leak and bound come from the file beside it; the row of another learner does not count.
    line = (
        "| none | 1 attack, 1 seed | **87.5** | knockoff | 90.0 | 87.5 | - | 86.0 | 30.0 (33.0) |"
    )
    assert line in page
    assert "| part of the plan that is not whole, in order of worth | measured | cells |" in page
