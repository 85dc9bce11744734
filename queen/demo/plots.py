"""The pictures of the demo: the thief's copies, and the answers of an honest account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from queen.demo.report import DemoReport

_INK, _DANGER, _SAFE = "#333333", "#c0392b", "#1f77b4"


def draw_thief(report: DemoReport, path: Path) -> None:
    """Accuracy of the thief's copy against the queries it sent, with and without the defense."""
    curve, clean = report.curve, report.clean_prefix_queries
    with _drawing(report, path) as axes:
        axes.plot(curve.queries, curve.undefended, "o-", color=_DANGER, label="no defense")
        axes.plot(
            curve.queries, curve.defended, "o-", color=_SAFE, label=f"profile {report.profile}"
        )
        axes.axhline(
            report.clean_prefix_floor,
            color=_SAFE,
            linewidth=1,
            linestyle="--",
            label=f"copy of the {clean} answers before reversal",
        )
        axes.set(
            xscale="log",
            xlabel="queries sent",
            ylabel="accuracy of the copy",
            title="The thief's copies",
        )
        axes.legend(frameon=False)


def draw_honest(report: DemoReport, path: Path) -> None:
    """Accuracy of an honest account's answers against the number of its earlier queries."""
    with _drawing(report, path) as axes:
        axes.plot(
            *zip(*report.heavy_history, strict=True), "o-", color=_SAFE, label="honest account"
        )
        axes.axvspan(0, report.honest_queries, color=_SAFE, alpha=0.12, label="ordinary volume")
        axes.set(
            ylim=(0, 1.02),
            xlabel="queries asked before",
            ylabel="accuracy of the answers",
            title=f"Answers of an honest account (budget {report.budget})",
        )
        axes.legend(frameon=False, loc="lower left")


@contextmanager
def _drawing(report: DemoReport, path: Path) -> Iterator[Any]:
    """Axes with a line for the protectee; the picture is written at the end of the block."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only drawing needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.axhline(
        report.protectee_accuracy, color=_INK, linewidth=1, linestyle=":", label="the protectee"
    )
    yield axes
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
