"""Figures and the picture of the README."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from queen.method.contracts import Profile
from queen.results.claims import all_claims, fill_figures
from tests.unit.docs.pages import ROOT

README = (ROOT / "README.md").read_text()
CLAIMS = all_claims(ROOT / "docs" / "results")


@pytest.mark.parametrize("page", dict.fromkeys(claim.page for claim in CLAIMS))
def test_no_figure_was_typed_by_hand(page: str) -> None:
    """Every figure of a page is what the files in docs/results say: `make results` writes them."""
    text = (ROOT / page).read_text()
    assert text == fill_figures(text, [claim for claim in CLAIMS if claim.page == page])


def test_the_table_of_profiles_has_every_profile() -> None:
    """With a word on what customers see, thieves get, and who should choose it."""
    listed = re.findall(r"^\| `(\w+)` \|(?:[^|]*\|){3}$", README, re.MULTILINE)
    assert sorted(listed) == sorted(profile.value for profile in Profile)


def test_the_picture_is_a_drawing_that_needs_nothing_else() -> None:
    """It is well-formed, says in words what it shows, and loads no font, image or script."""
    text = (ROOT / "docs" / "query-verdict-answer.svg").read_text()
    drawing = ElementTree.fromstring(text)  # noqa: S314 - a file of our own
    names = {element.tag.rpartition("}")[2] for element in drawing.iter()}
    assert {"title", "desc"} <= names
    assert not names & {"image", "script", "foreignObject", "use"}
    assert not re.search(r"url\(|@import|@font-face", text)
    assert "docs/query-verdict-answer.svg" in README
