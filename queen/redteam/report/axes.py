"""The look of the pictures: panels side by side, a color and a marker for each name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

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
            }
            for index, title in enumerate(dict.fromkeys(titles))
        }

    def __getitem__(self, title: str) -> Style:
        return self._styles[title]


def open_figure(
    *panels: str, height: float = 5.2, widths: Sequence[float] | None = None
) -> tuple[Any, Sequence[Any]]:
    """A figure with a panel for each title, side by side; `widths` are relative."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(8.5 * len(panels), height),
        layout="constrained",
        squeeze=False,
        width_ratios=widths,
    )
    for panel, title in zip(axes[0], panels, strict=True):
        panel.set_title(title, loc="left", fontsize="medium", pad=20)
    return figure, list(axes[0])


def save(figure: Any, path: Path) -> None:
    """Write the PNG and close the figure."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure.savefig(path, dpi=130)
    plt.close(figure)
