"""Figures and the picture of the README."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from statistics import mean
from xml.etree import ElementTree

from queen.method.contracts import Profile
from tests.unit.docs.pages import ROOT

README = (ROOT / "README.md").read_text()


def test_the_table_of_profiles_has_every_profile_and_its_measured_copy() -> None:
    """A thief's share is the best attack of the full plan, the mean over seeds, in percent.

    The plan has no row for `observe`: it is the model without a defense. A profile that the run
    left out has a dash.
    """
    rows = json.loads((ROOT / "docs" / "results" / "redteam-fashion-mnist.json").read_text())
    best: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        is_main = row["queries"] == 20_000 and row["pool"] == "in-distribution"
        is_one = row["accounts"] == 1 and row["budget"] in {100, None}
        if is_main and is_one and row["defense"] in {"queen", "none"}:
            name = row["profile"] or Profile.OBSERVE.value
            best[name][row["seed"]] = max(best[name][row["seed"]], row["clone_accuracy"])
    table = re.findall(r"^\| `(\w+)` \|[^|]*\| (\d+) % \|", README, re.MULTILINE)
    measured = {name: round(100 * mean(seeds.values())) for name, seeds in best.items()}
    assert {name: int(share) for name, share in table} == measured
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
