"""The opening table: every profile with a customer's answers and a thief's copy."""

from __future__ import annotations

import json
from pathlib import Path

from queen.defaults import BREADTH, CLASS_CAP
from queen.method.contracts import Profile
from queen.redteam.plans.full import full_plan
from queen.redteam.report.leaks import write_leaks
from queen.results.profiles import profile_section
from tests.unit.redteam.report.sample_rows import leak_row

PLAN = full_plan()


def row(defense: str, profile: str | None, attack: str, copy: float) -> dict[str, object]:
    """A row of the main setting of the full plan."""
    is_ours = profile is not None
    return {
        "dataset": PLAN.dataset,
        "defense": defense,
        "profile": profile,
        "budget": PLAN.budget if is_ours else None,
        "breadth": BREADTH if is_ours else None,
        "class_cap": CLASS_CAP if is_ours else None,
        "attack": attack,
        "pool": "in-distribution",
        "accounts": 1,
        "linked": False,
        "queries": PLAN.queries,
        "members": 1,
        "seed": 0,
        "clone_accuracy": copy,
        "fidelity": copy,
        "honest_by_kind": {
            "even": {
                "accuracy": 0.5,
                "flip_rate": 0.4,
                "refused": 0.0,
                "curve": [[0, 0.92], [10_000, 0.36]],
            }
        },
        "mean_l1": 0.0,
        "reversed_fraction": None,
        "label_only_floor": 0.81,
        "clean_prefix_floor": 0.8 if is_ours else None,
        "clean_prefix_queries": 1000 if is_ours else None,
        "protectee_accuracy": 0.915,
    }


def write_rows(folder: Path, rows: list[dict[str, object]]) -> list[Path]:
    """The report file of the full plan."""
    file = folder / f"redteam-{PLAN.dataset}.json"
    file.write_text(json.dumps(rows))
    return [file]


def test_every_profile_has_a_line_with_its_worst_copy_and_floor(tmp_path: Path) -> None:
    """The best copy of any attack, the plain copy, and the better of the floors, and the leak."""
    profiles = [profile.value for profile in Profile if profile is not Profile.OBSERVE]
    rows = [row("queen", profile, "knockoff", 0.7) for profile in profiles]
    rows += [row("queen", profile, "two-heads", 0.84) for profile in profiles]
    rows.append(row("none", None, "knockoff", 0.89))
    files = write_rows(tmp_path, rows)
    leaks = [leak_row(dataset=PLAN.dataset, profile=profile) for profile in profiles]
    write_leaks(leaks, "queen redteam --leak", tmp_path / f"leak-{PLAN.dataset}.json")
    page = "\n".join(profile_section(files))
    for profile in profiles:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{profile}` |")]
        figures = "92.0 | 36.0 (even) | **84.0** | two-heads | 70.0 | 81.0 | 30.0 (33.0)"
        assert line.endswith(f"| {figures} |")
    (line,) = [line for line in page.splitlines() if line.startswith("| `observe` |")]
    assert line.endswith("| **89.0** | knockoff | 89.0 | - | - |")
    assert "91.5" in page


def test_other_budgets_and_pools_are_no_main_setting(tmp_path: Path) -> None:
    """A larger budget, another pool or more accounts do not change the table."""
    profiles = [profile.value for profile in Profile if profile is not Profile.OBSERVE]
    rows = [row("queen", profile, "knockoff", 0.7) for profile in profiles]
    rows.append(row("none", None, "knockoff", 0.89))
    section = profile_section(write_rows(tmp_path, rows))
    for change in (
        {"budget": 1},
        {"breadth": 99},
        {"pool": "mixup"},
        {"accounts": 10},
        {"queries": 5},
    ):
        rows.insert(0, {**row("queen", "paper", "knockoff", 0.1), **change})
    assert profile_section(write_rows(tmp_path, rows)) == section


def test_without_a_full_run_there_is_no_section(tmp_path: Path) -> None:
    """Digits tell nothing about the worth of a profile."""
    assert profile_section([tmp_path / "redteam-digits.json"]) == []
