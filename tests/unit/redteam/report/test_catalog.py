"""The page on the red team is in step with the registries."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from queen.redteam.attacks import ATTACKS
from queen.redteam.defenses import DEFENSES
from queen.redteam.pools import POOLS
from queen.redteam.report.catalog import print_catalog, render_catalog

PAGE = Path(__file__).parents[4] / "docs" / "redteam.md"


def test_the_page_names_every_attack_and_defence():
    """The tables are those of the registries: `make results` writes them again unchanged."""
    page = PAGE.read_text()
    assert page == render_catalog(page)
    for name in (*ATTACKS, *DEFENSES):
        assert f"| {name} |" in page


def test_the_page_explains_every_pool():
    """A pool that can be asked for is described."""
    page = PAGE.read_text()
    assert all(f"`{name}`" in page for name in POOLS)


def test_the_list_is_shown():
    """`--list` prints the tables of the page."""
    console = Console(record=True, width=160)
    print_catalog(console)
    text = console.export_text()
    assert all(name in text for name in (*ATTACKS, *DEFENSES))
