"""The sections on honest accounts and on accounts of a single thief."""

from __future__ import annotations

import json
from pathlib import Path

from queen.results.page import render_results

DOCS = Path(__file__).parents[3] / "docs"


def test_honest_accounts_and_links_get_sections(tmp_path: Path) -> None:
    """The files of the benches become a row for each kind, and for each split over seeds."""
    for file in (DOCS / "results").glob("[bd]*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    honest = {
        "kind": "one class",
        "profile": "strict",
        "budget": 100,
        "breadth": 3,
        "class_cap": "off",
        "accounts": 1000,
        "queries": 10_000,
        "volume": 1029,
        "harmed": 30,
        "harmed_before_volume": 0,
        "first_harm": [3373, None, None],
        "flagged": {"500": 0, "10000": 2},
        "right": [[0, 0.912], [10_000, 0.9]],
        "right_undefended": 0.913,
        "seed": 0,
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
    other = {**links, "seed": 1, "auc": 0.85, "linked": 0.7}
    (tmp_path / "links-b.json").write_text(json.dumps({"rows": [other]}))
    page = render_results(tmp_path)
    assert "`strict`, budget 100, breadth 3, class cap off, seed 0" in page
    assert "| one class | 1,029 | 0 | 30 | 3,373 / never | 2 | 91.2 | 90.0 | 91.3 |" in page
    assert "| a tenth in common | 12 x 500 | 2 | 0.750 - 0.850 | 60.0 | 0.0 |" in page
