"""The picture of the frontier: a line for each policy, thieves left and customers right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queen.redteam.frontier.summary import Summary
from queen.redteam.report.axes import Styles, open_figure, save

_NEVER = 20_000
"""The place of "never", right of 10,000 queries."""
_TICKS = (100, 300, 1000, 3000, 10_000)


def draw_frontier(lines: Sequence[Summary], path: Path) -> None:
    """Write the picture: copies by number of accounts, and answers by kind of honest traffic.

    Markers have their names in the picture's own key above each panel; nothing is joined, since
    policies are no steps of a scale.
    """
    figure, (left, right) = open_figure(
        "What a thief makes of the clean answers of accounts without a group",
        "When honest accounts get their first changed answer (earliest of 1,000)",
    )
    rows = range(len(lines))
    counts = list(dict.fromkeys(count for line in lines for count in line.worst))
    styles = Styles(map(str, counts))
    for offset, count in enumerate(counts):
        points = [
            (100 * line.worst[count].copy.mean, row + _lift(offset, len(counts)))
            for row, line in enumerate(lines)
            if count in line.worst
        ]
        _dots(left, points, styles[str(count)], "1 account" if count == 1 else f"{count} accounts")
    # Some points of room on the left: differences of tenths must not look like an abyss.
    low, high = left.get_xlim()
    left.set_xlim(low - 4, high)
    left.set_xlabel("accuracy of the best copy (%)")
    kinds = list(dict.fromkeys(kind for line in lines for kind in line.kinds))
    styles = Styles(kinds)
    for offset, kind in enumerate(kinds):
        points = [
            (line.kinds[kind].earliest or _NEVER, row + _lift(offset, len(kinds)))
            for row, line in enumerate(lines)
            if kind in line.kinds
        ]
        _dots(right, points, styles[kind], kind)
    right.set_xscale("log")
    right.minorticks_off()
    right.set_xticks([*_TICKS, _NEVER], [*(f"{tick:,}" for tick in _TICKS), "never"])
    right.set_xlabel("answers before the account is over its budget")
    for axes in (left, right):
        axes.set_yticks(rows, [line.title for line in lines], fontsize="small")
        axes.set_ylim(len(lines) - 0.5, -0.5)
        for row in rows[::2]:
            axes.axhspan(row - 0.5, row + 0.5, color="0.95", zorder=0)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}
        axes.legend(frameon=False, ncols=4, fontsize="small", **below)
    save(figure, path)


def _lift(offset: int, count: int) -> float:
    """A little above or below the line, so that points of the same value do not hide each other."""
    return 0.6 * (offset / max(count - 1, 1) - 0.5)


def _dots(axes: Any, points: Sequence[tuple[float, float]], style: Any, name: str) -> None:
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, style["marker"], color=style["color"], label=name, markersize=6)
