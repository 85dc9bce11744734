"""The page of all settings."""

from __future__ import annotations

from pathlib import Path

from queen.cli.settings_page import render_page
from queen.cli.up.plan import SERVICES, settings_of

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_is_what_the_code_gives() -> None:
    """A setting that is added, removed or described anew changes the page: run `make docs`."""
    assert PAGE.read_text() == render_page(), "run `make docs` and commit docs/settings.md"


def test_every_setting_has_a_row_with_its_meaning() -> None:
    """An operator finds each setting of each service, with what it does."""
    sections = dict(zip(SERVICES, render_page().split("\n## ")[1:], strict=True))
    for service in SERVICES:
        rows = [line.split(" | ") for line in sections[service].splitlines() if "| `" in line]
        assert [row[0] for row in rows] == [
            f"| `{name}`" for name in settings_of(service).model_fields
        ]
        for row in rows:
            assert len(row) == 6
            assert len(row[5]) > 10


def test_types_and_defaults_are_told_in_words() -> None:
    """Bounds, choices and defaults are those that the service checks."""
    page = render_page()
    assert "| integer, at least 0, at most 65535 | `8001` |" in page
    assert "| `protect` or `deny` or `allow` | `protect` |" in page
    assert "| `QUEEN_INFERENCE_PRIVATE_METADATA` | true or false | `false` |" in page
    assert "| `--secret-file` | `QUEEN_PERTURBER_SECRET_FILE` | path | required |" in page
