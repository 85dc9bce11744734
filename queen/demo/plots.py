"""The picture of the demo: copies of the thieves and answers of the customers, on one axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from queen.demo.report import CustomerFigures, DemoReport, ThiefFigures

_INK, _FAINT, _DANGER, _SAFE = "#333333", "#999999", "#c0392b", "#1f77b4"


def draw_demo_picture(report: DemoReport, path: Path) -> None:
    """Accuracies from chance to the protectee: a line for each thief and each customer.

    An open circle is without the defense, a full circle with it.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only drawing needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    rows: list[ThiefFigures | CustomerFigures] = [*report.thieves, *report.customers]
    figure, axes = plt.subplots(figsize=(9, 0.72 * len(rows) + 1.3), layout="constrained")
    low, high = 100 * report.chance, 100 * report.protectee
    for at, words in ((low, "a guess"), (high, "the model")):
        axes.axvline(at, color=_FAINT, linewidth=1, linestyle=":")
        axes.text(at, len(rows) - 0.35, words, color=_INK, ha="center", va="bottom")
    axes.axhline(len(report.customers) - 0.5, color=_FAINT, linewidth=0.5)
    axes.set(
        xlim=(low - 3, high + 6),
        ylim=(-0.6, len(rows) - 0.4),
        yticks=range(len(rows)),
        yticklabels=[_name(figures) for figures in reversed(rows)],
        xlabel="accuracy, % (open: without Queen, full: with Queen)",
    )
    for height, figures in enumerate(reversed(rows)):
        if isinstance(figures, ThiefFigures):
            _draw_thief(axes, height, figures)
        else:
            _draw_customer(axes, height, figures)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw_thief(axes: Any, height: int, thief: ThiefFigures) -> None:
    before, after = 100 * thief.undefended, 100 * thief.defended
    axes.annotate(
        "",
        (after, height),
        (before, height),
        arrowprops={"arrowstyle": "-", "color": _DANGER, "linewidth": 1.5},
    )
    axes.plot(before, height, "o", color=_DANGER, markerfacecolor="white", markersize=9)
    axes.plot(after, height, "o", color=_DANGER, markersize=9)
    words = f"copy {after:.0f} %, from {thief.clean:,} clean answers of {thief.queries:,}"
    _write(axes, after, height, words)


def _draw_customer(axes: Any, height: int, customer: CustomerFigures) -> None:
    before, after = 100 * customer.own, 100 * customer.right
    axes.plot((before, after), (height, height), color=_SAFE, linewidth=1.5)
    axes.plot(before, height, "o", color=_SAFE, markerfacecolor="white", markersize=9)
    axes.plot(after, height, "o", color=_SAFE, markersize=9)
    words = "nothing changed"
    if customer.first is not None:
        kinds = [("labels changed", customer.changed), ("refused", customer.refused)]
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds if count)
        words = f"{told}, from query {customer.first + 1:,} of {customer.queries:,} on"
    _write(axes, after, height, words)


def _write(axes: Any, at: float, height: int, words: str) -> None:
    """Words above a circle, on the side where there is room."""
    low, high = axes.get_xlim()
    is_right = at > (low + high) / 2
    axes.annotate(
        words,
        (at, height),
        xytext=(8 if is_right else -8, 13),
        textcoords="offset points",
        ha="right" if is_right else "left",
        va="center",
        color=_INK,
        fontsize=9,
    )


def _name(figures: ThiefFigures | CustomerFigures) -> str:
    if isinstance(figures, ThiefFigures):
        return f"A thief, {figures.title}"
    return figures.title[0].upper() + figures.title[1:]
