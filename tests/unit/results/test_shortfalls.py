"""The section on what falls short."""

from __future__ import annotations

import json
from pathlib import Path

from queen.defaults import BREADTH, PROFILE
from queen.redteam.report.leaks import write_leaks
from queen.results.shortfalls import shortfall_section
from tests.unit.redteam.frontier.rows import kind_row, thief_row
from tests.unit.redteam.report.sample_rows import leak_row
from tests.unit.results.plan_rows import PLAN, plan_row, write_rows

DEFAULT = PROFILE.value
ROWS = [
    *(plan_row(DEFAULT, "knockoff", 0.85, seed=seed) for seed in (0, 1, 2)),
    *(plan_row(DEFAULT, attack, 0.8) for attack in ("active", "s4l")),
    plan_row(None, "knockoff", 0.89),
]


def page_of(folder: Path) -> str:
    """The section as a paragraph."""
    return " ".join(" ".join(shortfall_section(folder)).split())


def test_the_default_is_weighed_against_no_defense(tmp_path: Path) -> None:
    """A little that a thief loses is called little; what customers lose is told by kind."""
    page = page_of(write_rows(tmp_path, ROWS))
    assert "Under the default the best copy has 85.0 ± 0.0 %, a copy of the answers" in page
    assert "on this data a weak one" in page
    assert "40.0 ± 0.0 % (even) and 45.0 ± 0.0 % (zipf) of them" in page
    weaker = [plan_row(None, "knockoff", 0.91), *ROWS[:-1]]
    assert "a weak one" not in page_of(write_rows(tmp_path, weaker))


def test_gaps_of_the_measurement_are_told(tmp_path: Path) -> None:
    """Cells, defenses, seeds, attacks and data that are missing."""
    page = page_of(write_rows(tmp_path, ROWS))
    assert f"Of the {len(PLAN.cells())} cells that the plan knows from the start, " in page
    assert "Not measured yet: `paper`, `safe`," in page
    assert "Few of the 3 attacks met no defense (`observe`) (1):" in page
    assert "Measured with one seed alone: no defense (`observe`)." in page
    assert "CIFAR-10 is not measured." in page
    (tmp_path / "redteam-cifar10.json").write_text(json.dumps(ROWS))
    assert "CIFAR-10 is not measured." not in page_of(tmp_path)


def test_leaks_above_noise_and_of_other_policies_are_told(tmp_path: Path) -> None:
    """A leak is compared with noise by its bound, and `safe` tells labels by design."""
    leaks = [
        leak_row(dataset=PLAN.dataset, profile=profile, bound=bound, budget=PLAN.budget)
        for profile, bound in (("paper", 0.2), ("strict", 0.006), ("safe", 0.2))
    ]
    write_leaks(leaks, "queen redteam --leak", tmp_path / f"leak-{PLAN.dataset}.json")
    page = page_of(write_rows(tmp_path, ROWS))
    assert "The right rule undoes `paper` and `paper` as published (breadth 1):" in page
    assert "The leak of `paper`, `safe` and `strict` was measured at breadth 1" in page
    assert "The leak was measured with one seed." in page


def test_the_price_of_the_policy_is_told(tmp_path: Path) -> None:
    """Thieves with several accounts, and honest accounts that are over, under the default."""
    frontier = [
        thief_row(BREADTH, "hoarding", 3, 0.904),
        thief_row(1, "hoarding", 3, 0.8),
        kind_row(BREADTH, "even", [1466, 1697, 1889], 1000),
        kind_row(BREADTH, "four classes", [7889, None, None], 87),
        kind_row(BREADTH, "one class", [None, None, None], 0),
    ]
    (tmp_path / f"frontier-{PLAN.dataset}.json").write_text(json.dumps(frontier))
    page = page_of(tmp_path)
    assert "90.4 % with 3 (hoarding) of them" in page
    assert (
        "within 10,000 queries: all (even, the first after 1,466) and 9 of 100 (four classes, the "
        "first after 7,889)."
    ) in page


def test_copies_from_other_images_are_told(tmp_path: Path) -> None:
    """Of the default alone."""
    rows = [
        *ROWS,
        plan_row(DEFAULT, "knockoff", 0.3, pool="mixup"),
        plan_row(None, "knockoff", 0.8, pool="mixup"),
    ]
    page = page_of(write_rows(tmp_path, rows))
    assert "With other images, the best copies under the default have 30.0 % (mixup)." in page
