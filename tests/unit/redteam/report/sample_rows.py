"""Rows of a run, made by hand."""

from __future__ import annotations

from queen.method.crossing import CAP_OFF
from queen.redteam.learner import LEARNER
from queen.redteam.report.rows import Row


def row(attack: str, seed: int, clone: float | None, **change: object) -> Row:
    """A row of digits under `paper`, with these fields changed."""
    return {
        "cell": f"{attack}-{seed}-{sorted(change.items())}",
        "dataset": "digits",
        "defense": "queen",
        "profile": "paper",
        "budget": 10,
        "breadth": 1,
        "class_cap": CAP_OFF,
        "attack": attack,
        "pool": "in-distribution",
        "accounts": 1,
        "linked": False,
        "queries": 1000,
        "seed": seed,
        "members": 1,
        "learner": LEARNER,
        "code": "first",
        "clone_accuracy": clone,
        "fidelity": clone,
        "honest_by_kind": {
            "even": kind(0.9 + 0.01 * seed, 0.05),
            "zipf": kind(0.7, 0.02),
        },
        "mean_l1": 0.5,
        "reversed_fraction": 0.25,
        "clean_prefix_floor": 0.6,
        "clean_prefix_queries": 120,
        "label_only_floor": 0.55,
        "protectee_accuracy": 0.97,
        **change,
    }


def kind(accuracy: float, flip_rate: float, refused: float = 0.0) -> dict[str, object]:
    """The figures of honest accounts of a kind."""
    curve = [[0, 0.95], [500, None]]
    return {"accuracy": accuracy, "flip_rate": flip_rate, "refused": refused, "curve": curve}


ROWS = [
    row("knockoff", 0, 0.70),
    row("knockoff", 1, 0.80),
    row("d-dae", 0, 0.90, reversed_fraction=0.5),
    row("d-dae", 1, 0.60),
]
BASELINE = {
    "defense": "none",
    "profile": None,
    "budget": None,
    "breadth": None,
    "class_cap": None,
    "reversed_fraction": None,
    "clean_prefix_floor": None,
    "clean_prefix_queries": None,
    "mean_l1": 0.0,
}


def leak_row(**change: object) -> Row:
    """A row of the leak of `paper` on digits, with these fields changed."""
    return {
        "dataset": "digits",
        "defense": "queen",
        "profile": "paper",
        "budget": 10,
        "breadth": 1,
        "class_cap": CAP_OFF,
        "pool": "in-distribution",
        "queries": 1000,
        "seed": 0,
        "secrets": 8,
        "prefix": 100,
        "rows": "flagged",
        "tested": 400,
        "belief": 0.8,
        "leak": 0.3,
        "bound": 0.33,
        "views": {
            "answer": {"read": 0.9, "from_decoys": 0.6, "leak": 0.3, "bound": 0.33},
            "answer and belief": {"read": 0.95, "from_decoys": 0.85, "leak": 0.1, "bound": 0.12},
        },
        **change,
    }
