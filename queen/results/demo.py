"""The section on the demo."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.markdown import table
from queen.results.files import Content, read_content

_TEXT = """## The demo

`queen demo --seed SEED` and `queen demo --dataset fashion-mnist`, a run a row. The thief queries
half of the training split that the protectee never saw (digits: 600 images with noise), with
profile `paper`. *heavy* is an honest account that sends the whole test set, far past its budget:
its lost accuracy is the price of the profile. *floor* is the copy made of the answers before the
first reversal.
"""
_FIGURES = {
    "protectee": "protectee_accuracy",
    "honest": "honest_accuracy",
    "heavy": "heavy_accuracy",
    "thief, no defense": "thief_accuracy_undefended",
    "labels only": "thief_accuracy_label_only",
    "thief, defended": "thief_accuracy_defended",
    "floor": "clean_prefix_floor",
    "reversed": "reversed_fraction",
}


def demo_section(files: list[Path]) -> list[str]:
    """The section; each file is the report.json of a run of the demo."""
    cells = [_cells(read_content(file)) for file in files]
    titles = ["data", "seed", "budget", "queries", *_FIGURES, "honest labels changed"]
    return [_TEXT, table(titles, cells)]


def _cells(demo: Content) -> list[str]:
    return [
        demo["dataset"],
        str(demo["seed"]),
        str(demo["budget"]),
        str(demo["thief_queries"]),
        *(f"{100 * demo[key]:.1f}" for key in _FIGURES.values()),
        f"{demo['honest_flips_before_budget']} of {demo['honest_queries']}",
    ]
