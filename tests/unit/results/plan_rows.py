"""Rows of the full plan, made by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from queen.redteam.learner import LEARNER
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.full import full_plan
from queen.redteam.report.rows import Row

PLAN = full_plan()
FILE = f"redteam-{PLAN.dataset}.json"


def plan_row(profile: str | None, attack: str, copy: float, **change: object) -> Row:
    """A row of the plan's main setting, with these fields of the cell changed; None: no defense."""
    defense, budget = ("none", None) if profile is None else ("queen", PLAN.budget)
    cell = Cell(
        *(PLAN.dataset, defense, profile, budget, attack, "in-distribution"),
        *(1, False, PLAN.queries, 0),
    )
    cell = replace(cell, **{name: value for name, value in change.items() if hasattr(cell, name)})
    kinds = {"even": (0.4, 0.0), "one class": (0.0, 0.0), "zipf": (0.1, 0.35)}
    return {
        **asdict(cell),
        "cell": cell.name,
        "learner": LEARNER,
        "code": "first",
        "clone_accuracy": copy,
        "fidelity": copy,
        "honest_by_kind": {
            kind: {
                "accuracy": 0.5,
                "flip_rate": changed if cell.is_ours else 0.0,
                "refused": refused if cell.is_ours else 0.0,
                "curve": [[0, 0.92], [10_000, 0.36]],
            }
            for kind, (changed, refused) in kinds.items()
        },
        "mean_l1": 0.0,
        "reversed_fraction": None,
        "label_only_floor": 0.81,
        "clean_prefix_floor": 0.84 if cell.is_ours else None,
        "clean_prefix_queries": 1711 if cell.is_ours else None,
        "protectee_accuracy": 0.915,
        **{name: value for name, value in change.items() if not hasattr(cell, name)},
    }


def write_rows(folder: Path, rows: list[Row]) -> Path:
    """The folder, with these rows as those of the full plan."""
    (folder / FILE).write_text(json.dumps(rows))
    return folder
