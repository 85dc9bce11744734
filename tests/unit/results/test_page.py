"""The published page holds the measured figures."""

from __future__ import annotations

from pathlib import Path

from queen.results.page import render_results

DOCS = Path(__file__).parents[3] / "docs"


def test_the_results_page_is_what_the_files_say() -> None:
    """No figure on the page was typed by hand: `make results` writes it again unchanged."""
    assert (DOCS / "results.md").read_text() == render_results(DOCS / "results")


def test_the_page_opens_with_the_profiles() -> None:
    """The first section compares the profiles, before the demo and the attacks."""
    sections = [
        line for line in (DOCS / "results.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert sections[0] == "## The profiles"
