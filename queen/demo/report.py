"""The report of the demo: figures as JSON, and a table on the screen."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Curve:
    """Accuracies of copies trained on the first `queries` answers."""

    queries: list[int]
    undefended: list[float]
    defended: list[float]


@dataclass(frozen=True)
class DemoReport:
    """build/demo/report.json. Accuracies are shares of the test set, 0 to 1.

    `honest_accuracy` is of the answers to an ordinary account's `honest_queries`;
    `honest_flips_before_budget` counts those of them whose label is not the protectee's
    before any class crossed; `heavy_accuracy` is of the answers to an honest account that
    sent the whole test set, far past its budget. `clean_prefix_floor` is the copy made of
    the thief's answers before the first reversal, which no later answer can undo.
    """

    dataset: str
    profile: str
    budget: int
    protectee_accuracy: float
    honest_accuracy: float
    honest_queries: int
    honest_flips_before_budget: int
    heavy_accuracy: float
    heavy_queries: int
    heavy_reversed_fraction: float
    thief_queries: int
    thief_accuracy_undefended: float
    thief_accuracy_label_only: float
    thief_accuracy_defended: float
    clean_prefix_floor: float
    clean_prefix_queries: int
    reversed_fraction: float
    flip_fraction: float
    seed: int
    bundle_digest: str
    curve: Curve
    heavy_history: list[tuple[int, float]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def print_report(report: DemoReport, console: Console) -> None:
    """Show all figures in a table, disappointing figures as well."""
    table = Table(title=f"Query unlearning on {report.dataset}", title_justify="left")
    table.add_column("model or account")
    table.add_column("traffic or training")
    table.add_column("accuracy", justify="right")
    for row in _rows(report):
        table.add_row(row[0], row[1], f"{100 * row[2]:.1f} %")
    console.print(table)
    lost = report.thief_accuracy_undefended - report.thief_accuracy_defended
    console.print(
        f"The defense cost the thief [bold]{100 * lost:.1f} points[/bold]. "
        f"{report.honest_flips_before_budget} of {report.honest_queries} honest labels changed. "
        f"An honest account that goes far past its budget pays too "
        f"({100 * report.heavy_accuracy:.1f} %): choose the budget for your customers."
    )


def _rows(report: DemoReport) -> list[tuple[str, str, float]]:
    clean = report.clean_prefix_queries
    return [
        ("protectee", "the model that is served, on its test set", report.protectee_accuracy),
        (
            "honest account",
            f"{report.honest_queries} queries, within the budget",
            report.honest_accuracy,
        ),
        (
            "heavy honest account",
            f"{report.heavy_queries} queries, "
            f"{100 * report.heavy_reversed_fraction:.0f} % reversed",
            report.heavy_accuracy,
        ),
        (
            "thief, no defense",
            f"copy made of {report.thief_queries} answers",
            report.thief_accuracy_undefended,
        ),
        ("thief, labels only", "the same, argmax kept", report.thief_accuracy_label_only),
        (
            "thief, defended",
            f"the same, {100 * report.reversed_fraction:.0f} % reversed "
            f"(profile {report.profile}, budget {report.budget})",
            report.thief_accuracy_defended,
        ),
        (
            "clean-prefix floor",
            f"copy made of the {clean} answers before the first reversal",
            report.clean_prefix_floor,
        ),
    ]
