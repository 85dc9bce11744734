"""A picture of the sensitive regions, and of the discs in them that an account has covered."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.cli.accounts.admin_values import Account, ClassLedger
from queen.errors import ConfigError
from queen.printable import printable

_MARGIN = 1.25
"""Margin around the regions, in sensitive radii of the largest region."""


def draw_coverage(path: Path, bundle: Bundle, account: Account) -> None:
    """Draw the regions of the embedding map and the discs that an account's records cover.

    A disc has the coverage radius r of its class; crossed classes are ringed
    in red. ConfigError for a bundle whose embeddings are not on a plane.
    """
    geometry = bundle.geometry
    if geometry.embedding_width != 2:
        raise ConfigError(f"expected embeddings of 2 axes to draw, got {geometry.embedding_width}")
    # A figure of its own, without pyplot: nothing global, no display.
    figure = Figure(figsize=(9, 8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    ledgers = {ledger.label: ledger for ledger in account.classes}
    for label in range(geometry.num_classes):
        is_crossed = label in account.summary.crossed_classes
        _draw_class(axes, bundle, label, ledgers.get(label), is_crossed)
    _finish(axes, bundle, account)
    figure.savefig(path, format="png")


def _draw_class(
    axes: Axes, bundle: Bundle, label: int, ledger: ClassLedger | None, is_crossed: bool
) -> None:
    geometry = bundle.geometry
    color = mpl.colormaps["tab10" if geometry.num_classes <= 10 else "hsv"](
        label if geometry.num_classes <= 10 else label / geometry.num_classes
    )
    center, radius = geometry.cluster_centers[label], float(geometry.sensitive_radius[label])
    edge = "crimson" if is_crossed else color
    _discs(axes, center[None], radius, face=(*color[:3], 0.10), edge=edge, width=1.6)
    if ledger is not None:
        points = ledger.embeddings.reshape(-1, geometry.embedding_width)
        covered = float(geometry.coverage_radius[label])
        _discs(axes, points, covered, face=(*color[:3], 0.55), edge="none", width=0)
        # Discs of small r vanish on the page; a dot marks each record.
        axes.plot(points[:, 0], points[:, 1], ".", color=color, markersize=1.0, zorder=3)
    axes.annotate(
        _caption(bundle, label, ledger),
        (center[0], center[1] + radius),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color="crimson" if is_crossed else "0.2",
        zorder=5,
        bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.75},
    )


def _discs(
    axes: Axes,
    points: NDArray[np.floating],
    radius: float,
    *,
    face: object,
    edge: object,
    width: float,
) -> None:
    """Circles in data units; one collection draws thousands as fast as one."""
    diameter = np.full(len(points), 2 * radius)
    axes.add_collection(
        EllipseCollection(
            diameter,
            diameter,
            np.zeros(len(points)),
            units="xy",
            offsets=points,
            offset_transform=axes.transData,
            facecolors=face,
            edgecolors=edge,
            linewidths=width,
        )
    )


def _caption(bundle: Bundle, label: int, ledger: ClassLedger | None) -> str:
    name = bundle.manifest.class_names[label]
    title = str(label) if name == str(label) else f"{label} {name}"
    share = ledger.cqs / ledger.threshold if ledger and ledger.threshold > 0 else 0.0
    return f"{title}: {share:.0%}"


def _finish(axes: Axes, bundle: Bundle, account: Account) -> None:
    geometry = bundle.geometry
    reach = _MARGIN * float(geometry.sensitive_radius.max())
    low = geometry.cluster_centers.min(axis=0) - reach
    high = geometry.cluster_centers.max(axis=0) + reach
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel("embedding, first axis")
    axes.set_ylabel("embedding, second axis")
    axes.grid(visible=True, color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    summary = account.summary
    name, crossed = printable(summary.account_id), len(summary.crossed_classes)
    axes.set_title(
        f"{name}: {summary.records} records, {crossed} of "
        f"{geometry.num_classes} classes crossed (ringed in red)\n"
        "large: sensitive region with the share of its budget spent; small: covered discs",
        fontsize=10,
        parse_math=False,
    )
