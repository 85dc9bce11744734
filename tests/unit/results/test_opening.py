"""The opening: every defense with a thief's best copy, what customers lose, and its leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.defaults import BREADTH, PROFILE
from queen.method.contracts import Profile
from queen.redteam.report.leaks import write_leaks
from queen.results.opening import draw_openings, opening_section
from tests.unit.redteam.report.sample_rows import leak_row
from tests.unit.results.plan_rows import PLAN, plan_row, write_rows

ROWS = [
    plan_row("strict", "knockoff", 0.7),
    plan_row("strict", "two-heads", 0.84),
    plan_row("strict", "two-heads", 0.86, seed=1),
    plan_row(None, "knockoff", 0.89),
]


def lines_of(folder: Path) -> dict[str, str]:
    """The lines of the table, by their first cell."""
    lines = "\n".join(opening_section(folder)).splitlines()
    return {line.split(" | ")[0].strip("| "): line for line in lines if line.startswith("|")}


def test_a_defense_has_its_best_copy_its_price_and_its_leak(tmp_path: Path) -> None:
    """With the numbers of attacks and seeds that it met; the kind that loses most is named."""
    policy = {"budget": PLAN.budget, "breadth": BREADTH}
    leak = leak_row(dataset=PLAN.dataset, profile="strict", leak=0.001, bound=0.004, **policy)
    write_leaks([leak], "queen redteam --leak", tmp_path / f"leak-{PLAN.dataset}.json")
    lines = lines_of(write_rows(tmp_path, ROWS))
    planned = {
        name: len({cell.attack for cell in PLAN.cells() if name in {cell.profile, cell.defense}})
        for name in ("strict", "none")
    }
    assert lines["`strict`"].endswith(
        f"| **85.0 ± 1.4** | two-heads | 2 of {planned['strict']} attacks, 2 seeds | 45.0 ± 0.0 | "
        "zipf | 0.1 (0.4) |"
    )
    assert lines["no defense (`observe`)"].endswith(
        f"| **89.0** | knockoff | 1 of {planned['none']} attacks, 1 seed | 0.0 | - | - |"
    )


def test_what_is_not_measured_says_so(tmp_path: Path) -> None:
    """Every profile and baseline of the plan has a line, measured or not; the default is marked."""
    lines = lines_of(write_rows(tmp_path, ROWS))
    titles = {f"`{profile}`" for profile in Profile} - {"`observe`", f"`{PROFILE}`"}
    titles |= {f"`{PROFILE}`, the default", "`paper` as published (breadth 1)", "top-1", "grad2"}
    assert titles <= set(lines)
    assert "| not measured yet | - |" in lines["`balanced`"]


@pytest.mark.parametrize(
    "change",
    [
        *({"budget": 1}, {"breadth": 9}, {"class_cap": 10}, {"pool": "mixup"}, {"accounts": 10}),
        *({"queries": 5}, {"learner": None}),
    ],
)
def test_other_settings_and_learners_do_not_count(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """Another crossing policy, pool, number or learner does not change a line."""
    lines = lines_of(write_rows(tmp_path, ROWS))
    other = plan_row("strict", "knockoff", 0.99, **change)
    assert lines_of(write_rows(tmp_path, [other, *ROWS])) == lines


def test_a_run_that_asked_more_than_the_plan_is_shown(tmp_path: Path) -> None:
    """The number of queries that most rows have makes the main setting."""
    rows = [plan_row("strict", attack, 0.7, queries=50_000) for attack in ("knockoff", "s4l")]
    folder = write_rows(tmp_path, [plan_row("strict", "knockoff", 0.6), *rows])
    assert "| **70.0** |" in lines_of(folder)["`strict`"]
    assert "A thief sends 50,000 queries" in "\n".join(opening_section(folder))


def test_the_opening_has_its_picture(tmp_path: Path) -> None:
    """Drawn beside the file, under the name that the section shows."""
    draw_openings(write_rows(tmp_path, ROWS))
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"(results/{picture.name})" in "\n".join(opening_section(tmp_path))


def test_without_rows_there_is_no_section(tmp_path: Path) -> None:
    """Neither a table nor a picture is made up."""
    assert opening_section(tmp_path) == []
    draw_openings(tmp_path)
    assert list(tmp_path.iterdir()) == []
