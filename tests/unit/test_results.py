"""The published figures are the measured ones."""

from __future__ import annotations

from pathlib import Path

from queen.demo.results import render_results

DOCS = Path(__file__).parents[2] / "docs"


def test_the_results_page_is_what_the_files_say() -> None:
    """No figure on the page was typed by hand: `make results` writes it again unchanged."""
    assert (DOCS / "results.md").read_text() == render_results(DOCS / "results")
