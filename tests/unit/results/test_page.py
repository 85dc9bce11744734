"""The published page holds the measured figures."""

from __future__ import annotations

import re
from pathlib import Path

from queen.results.page import render_results

DOCS = Path(__file__).parents[3] / "docs"


def test_the_results_page_is_what_the_files_say() -> None:
    """No figure on the page was typed by hand: `make results` writes it again unchanged."""
    assert (DOCS / "results.md").read_text() == render_results(DOCS / "results")


def test_the_page_opens_with_what_is_gotten_and_paid() -> None:
    """One table and one picture come first, then what falls short, then the rest."""
    sections = [
        line for line in (DOCS / "results.md").read_text().splitlines() if line.startswith("## ")
    ]
    assert sections[0] == "## fashion-mnist: what a thief gets, and who pays"
    shortfalls = sections.index("## What falls short")
    assert all(section.endswith("and who pays") for section in sections[:shortfalls])


def test_the_pictures_of_the_page_are_there() -> None:
    """Every picture that the page shows lies beside the file that it shows."""
    pictures = re.findall(r"\]\((results/\S+\.png)\)", (DOCS / "results.md").read_text())
    assert len(pictures) >= 3
    assert [name for name in pictures if not (DOCS / name).is_file()] == []
