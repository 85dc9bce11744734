"""Draw the embedding map: samples, cluster centers and sensitive regions."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry

_MOST_POINTS = 6000
_MOST_NAMES = 40
_INK, _GRAY, _FAINT = "#22262b", "#5b636d", "#e3e6ea"


def draw_embedding_map(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
) -> bytes:
    """A PNG of `embeddings` (N, E), true `labels` (N,), with every region as a disc.

    More than two axes are projected on the two along which the centers differ most;
    a ball stays a disc of its radius then.
    """
    plane = _plane(geometry.cluster_centers.astype(np.float64))
    points = _project(embeddings.astype(np.float64), plane)
    centers = _project(geometry.cluster_centers.astype(np.float64), plane)
    low, high = _window(points, centers, geometry.sensitive_radius)
    figure, axes = _canvas(low, high)
    colors = _colors(geometry.num_classes)
    _draw_samples(axes, points, labels, colors)
    _draw_regions(axes, centers, geometry.sensitive_radius, colors)
    _draw_names(axes, centers, geometry.sensitive_radius, class_names)
    _caption(figure, title, len(embeddings), geometry)
    stream = io.BytesIO()
    # Without the software's version the same map has the same bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _plane(centers: FloatArray) -> FloatArray:
    """Two orthonormal axes (E, 2); the given axes where E is 1 or 2."""
    width = centers.shape[1]
    if width <= 2:
        return np.eye(width, 2)
    _, _, axes = np.linalg.svd(centers - centers.mean(axis=0), full_matrices=True)
    plane: FloatArray = axes[:2].T
    return plane


def _project(points: FloatArray, plane: FloatArray) -> FloatArray:
    projected: FloatArray = points @ plane
    return projected


def _colors(count: int) -> FloatArray:
    if count <= 10:
        return np.asarray(colormaps["tab10"](np.arange(count)))
    return np.asarray(colormaps["turbo"](np.linspace(0.04, 0.96, count)))


def _draw_samples(
    axes: Axes, points: FloatArray, labels: NDArray[np.int64], colors: FloatArray
) -> None:
    # A fixed order, so that no class covers another only because it comes later.
    shown = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
    axes.scatter(
        points[shown, 0],
        points[shown, 1],
        s=float(np.clip(12_000 / len(shown), 3, 16)),
        c=colors[labels[shown]],
        alpha=0.55,
        linewidths=0,
        zorder=2,
        rasterized=True,
    )


def _draw_regions(axes: Axes, centers: FloatArray, radius: FloatArray, colors: FloatArray) -> None:
    for center, reach, color in zip(centers, radius, colors, strict=True):
        spot = (float(center[0]), float(center[1]))
        axes.add_patch(Circle(spot, reach, facecolor=color, alpha=0.14, linewidth=0, zorder=1))
        axes.add_patch(Circle(spot, reach, fill=False, edgecolor=color, linewidth=1.6, zorder=3))
    axes.scatter(centers[:, 0], centers[:, 1], s=34, marker="+", c=_INK, linewidths=1.3, zorder=4)


def _draw_names(
    axes: Axes, centers: FloatArray, radius: FloatArray, class_names: Sequence[str]
) -> None:
    """Write the names above their discs; no names if they would hide each other."""
    if len(class_names) > _MOST_NAMES:
        return
    for center, reach, name in zip(centers, radius, class_names, strict=True):
        axes.annotate(
            name,
            (float(center[0]), float(center[1] + reach)),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=10,
            fontweight="bold",
            color=_INK,
            ha="center",
            va="bottom",
            bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.7},
            zorder=5,
        )


def _window(
    points: FloatArray, centers: FloatArray, radius: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Corners that hold every region and nearly every sample; a few far samples lie outside."""
    reach = radius[:, None]
    low = np.minimum(np.quantile(points, 0.002, axis=0), (centers - reach).min(axis=0))
    high = np.maximum(np.quantile(points, 0.998, axis=0), (centers + reach).max(axis=0))
    span = high - low
    # Room for names, and no strip that is too narrow to look at.
    span = np.maximum(span * 1.1, 0.6 * span.max())
    middle = (low + high) / 2
    return middle - span / 2, middle + span / 2


def _canvas(low: FloatArray, high: FloatArray) -> tuple[Figure, Axes]:
    """A figure with the same scale on both axes, and margins for words."""
    across, upward = high - low
    inches = 7.4 / max(across, upward)
    width, height = across * inches + 0.6, upward * inches + 1.25
    figure = Figure(figsize=(max(width, 6.8), height), dpi=130)
    axes = figure.add_axes((0.06, 0.35 / height, 0.92, upward * inches / height))
    axes.set_aspect("equal")
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.grid(color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8, labelcolor=_GRAY)
    axes.spines[:].set_visible(False)
    return figure, axes


def _caption(figure: Figure, title: str, samples: int, geometry: Geometry) -> None:
    shown, height = min(samples, _MOST_POINTS), figure.get_figheight()
    words = (
        f"{shown:,} of {samples:,} training samples by true class; discs: sensitive regions; "
        f"+ cluster centers; coverage fraction {geometry.coverage_fraction:g}"
    )
    figure.text(0.06, 1 - 0.36 / height, title, fontsize=15, fontweight="bold", color=_INK)
    figure.text(0.06, 1 - 0.66 / height, words, fontsize=8, color=_GRAY)
