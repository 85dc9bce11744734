"""The look of the pictures: axes, lines with error bars, a legend beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from queen.redteam.report.standings import OverSeeds

Points = list[tuple[float, OverSeeds]]
Style = dict[str, Any]
_MARKERS = "osD^vPX<>ph*"


class Styles:
    """A color and a marker for each title, the same within a picture."""

    def __init__(self, titles: Iterable[str]) -> None:
        from matplotlib import colormaps  # noqa: PLC0415 - slow to import

        colors = colormaps["tab20"](range(20))
        # The dark half of the color map comes first; the light half is for more than ten titles.
        order = [*colors[0::2], *colors[1::2]]
        self._styles: dict[str, Style] = {
            title: {
                "color": tuple(order[index % len(order)]),
                "marker": _MARKERS[index % len(_MARKERS)],
                "linestyle": "-",
            }
            for index, title in enumerate(dict.fromkeys(titles))
        }

    def __getitem__(self, title: str) -> Style:
        return self._styles[title]


def open_figure(*panels: str) -> tuple[Any, Sequence[Any]]:
    """A figure with a panel for each title, side by side."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(
        1, len(panels), figsize=(8.5 * len(panels), 5.2), layout="constrained", squeeze=False
    )
    for panel, title in zip(axes[0], panels, strict=True):
        panel.set_title(title, loc="left", fontsize="medium")
    return figure, list(axes[0])


def draw_line(axes: Any, points: Points, style: Style, label: str) -> None:
    """Draw a thief's figures in percent, joined in order, with bars of one standard deviation."""
    if not points:
        return
    xs, figures = zip(*sorted(points, key=lambda point: point[0]), strict=True)
    means = [100 * figure.mean for figure in figures]
    axes.plot(xs, means, label=label, markersize=5.5, linewidth=1.3, **style)
    bars = [100 * (figure.sd or 0) for figure in figures]
    axes.errorbar(xs, means, yerr=bars, fmt="none", ecolor=style["color"], linewidth=1)


def finish(axes: Any, x: str, y: str, *, legend: bool = True) -> None:
    """Name the axes and put the legend beside them: inside, it would hide the points."""
    handles, labels = axes.get_legend_handles_labels()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if not axes.has_data():
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no cells of this run", ha="center", transform=axes.transAxes)
    elif legend and handles:
        axes.legend(
            handles,
            labels,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            fontsize="small",
        )


def scale_by_counts(axes: Any, counts: Iterable[float]) -> None:
    """Scale the x axis by logarithms, with ticks at the counts that were measured."""
    ticks = sorted(set(counts))
    if ticks:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])


def save(figure: Any, path: Path) -> None:
    """Write the PNG and close the figure."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure.savefig(path, dpi=130)
    plt.close(figure)
