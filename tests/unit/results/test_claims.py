"""Figures in sentences and tables of other pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from queen.defaults import BREADTH, PROFILE
from queen.errors import ConfigError
from queen.results.claims import DEFAULTS, README, Claim, all_claims, fill_figures
from tests.unit.redteam.frontier.rows import kind_row, thief_row
from tests.unit.results.plan_rows import PLAN, plan_row, write_rows

CLAIMS = [
    Claim("page.md", "makes a copy of {}, where all make one of {}:", ["88 %", "not measured yet"]),
    Claim("page.md", "| `strict` |...| {} |...|", ["84 %"]),
]
PAGE = """\
It makes a copy of 71 %,
  where all make one of
  90 %: see there.
| `strict` | wrong labels | 1 % | no |
"""


def test_figures_go_into_the_holes_and_nowhere_else() -> None:
    """Lines may break anywhere; a page that has the figures stays as it is."""
    filled = fill_figures(PAGE, CLAIMS)
    assert filled == PAGE.replace("71 %", "88 %").replace("90 %", "not measured yet").replace(
        "1 % | no", "84 % | no"
    )
    broken = filled.replace("not measured yet", "not\n  measured yet")
    assert fill_figures(broken, CLAIMS) == broken


def test_words_that_changed_are_missed() -> None:
    """A sentence that is written in another way must be changed in both places."""
    with pytest.raises(ConfigError, match="expected the words 'makes a copy of"):
        fill_figures("It gets one.", CLAIMS)


def claims_of(folder: Path, page: str) -> list[list[str]]:
    """The figures of a page's claims."""
    return [list(claim.figures) for claim in all_claims(folder) if claim.page == page]


def test_what_is_not_measured_is_not_made_up(tmp_path: Path) -> None:
    """Without files, no claim has a digit."""
    figures = [*claims_of(tmp_path, README), *claims_of(tmp_path, DEFAULTS)]
    assert len(figures) >= 14
    assert not re.search(r"\d", " ".join(word for words in figures for word in words))


def test_figures_follow_from_the_files(tmp_path: Path) -> None:
    """The best copies by profile; the frontier at the default's breadth, without a cap."""
    rows = [
        plan_row("strict", "knockoff", 0.7),
        plan_row("strict", "two-heads", 0.84),
        plan_row("strict", "two-heads", 0.86, seed=1),
        plan_row("paper", "knockoff", 0.99, breadth=1),
        plan_row(None, "knockoff", 0.904),
    ]
    frontier = [
        thief_row(BREADTH, "even", 1, 0.884),
        thief_row(BREADTH, "hoarding", 1, 0.891),
        thief_row(BREADTH, "hoarding", 3, 0.9),
        kind_row(BREADTH, "even", [1466, 1697, 1889], 1000),
        kind_row(BREADTH, "one class", [None, None, None], 0),
        kind_row(BREADTH, "two classes", [None, None, None], 0),
        kind_row(BREADTH, "four classes", [7889, None, None], 87),
        kind_row(BREADTH, "zipf", [2369, 4559, 9000], 1000),
        kind_row(BREADTH, "repeated items", [None, None, None], 0),
        kind_row(1, "one class", [128, 174, 200], 1000),
        kind_row(1, "two classes", [247, 319, 400], 1000),
    ]
    (tmp_path / f"frontier-{PLAN.dataset}.json").write_text(json.dumps(frontier))
    write_rows(tmp_path, rows)
    figures = claims_of(tmp_path, README)
    assert figures.count(["at least 85 %"]) == 1
    assert ["92 %", "1 to 2 seeds"] in figures
    assert ["1,500", "88 %", "90 %"] in figures
    assert ["1,700", "9 in 100"] in figures
    assert ["none"] in figures
    decided = claims_of(tmp_path, DEFAULTS)
    wide = ["1,500", "88.4", "89.1", "never over", "87 of 1,000 over", "4,559", "never over"]
    assert wide in decided
    assert "over after 128 and 247" in decided[0]


def test_what_the_default_gives_up_is_told(tmp_path: Path) -> None:
    """The best copy beside the floor, and the best copy from each other pool."""
    pools = {"mixup": 0.45, "shift": 0.48, "off-distribution": 0.22}
    rows = [plan_row(PROFILE, "knockoff", 0.887, clean_prefix_floor=0.876)]
    rows += [plan_row(PROFILE, "knockoff", copy, pool=pool) for pool, copy in pools.items()]
    rows += [plan_row(PROFILE, "active", 0.1, pool="shift")]
    given_up = ["88.7 %", "87.6 %", "45 %", "48 %", "22 %"]
    assert given_up in claims_of(write_rows(tmp_path, rows), README)


def test_a_profile_that_lacks_attacks_has_a_lower_bound(tmp_path: Path) -> None:
    """Until every attack of the plan has met it, a thief gets at least so much."""
    attacks = {cell.attack for cell in PLAN.cells() if cell.defense == "none"}
    rows = [plan_row(None, attack, 0.9) for attack in sorted(attacks)]
    assert ["90 %"] in claims_of(write_rows(tmp_path, rows), README)
    assert ["at least 90 %"] in claims_of(write_rows(tmp_path, rows[1:]), README)


def test_a_hole_ends_where_its_words_go_on() -> None:
    """The first full stop ends a figure at the end of a sentence, not a later one."""
    claim = Claim("page.md", "means over {}.", ["3 seeds"])
    page = "means\nover no seed. See [a.md](a.md) or 1.5."
    assert fill_figures(page, [claim]) == "means\nover 3 seeds. See [a.md](a.md) or 1.5."
