"""Regions of the embedding space: cluster centers, radii, feature centers.

Symbols: C classes, D feature width, E embedding width, N training samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from queen.errors import FitError, ShapeMismatch

FloatArray = NDArray[np.float64]
SingleArray = NDArray[np.float32]
LabelArray = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Geometry:
    """The sensitive regions of one protectee.

    `cluster_centers` c (C, E) float32 and `mean_radius` rho (C,) float32 come from
    `fit_geometry`; `alpha` steepens sqs, `beta` scales the sensitive radius, and
    `coverage_fraction` is r / rs, the share of a sensitive radius that one record covers.
    """

    cluster_centers: SingleArray
    mean_radius: SingleArray
    alpha: float = 1.0
    beta: float = 1.0
    coverage_fraction: float = 0.02

    def __post_init__(self) -> None:
        if (
            self.cluster_centers.ndim != 2
            or self.mean_radius.shape != self.cluster_centers.shape[:1]
        ):
            raise ShapeMismatch(
                "expected cluster centers (C, E) and mean radii (C,), got "
                f"{self.cluster_centers.shape} and {self.mean_radius.shape}"
            )
        for name in ("alpha", "beta", "coverage_fraction"):
            if not 0 < getattr(self, name) < np.inf:
                raise FitError(f"expected {name} above 0, got {getattr(self, name)}")
        _require_regions(self.cluster_centers, self.mean_radius, None)

    @cached_property
    def num_classes(self) -> int:
        """C."""
        return int(self.cluster_centers.shape[0])

    @cached_property
    def embedding_width(self) -> int:
        """E."""
        return int(self.cluster_centers.shape[1])

    @cached_property
    def sensitive_radius(self) -> FloatArray:
        """rs = beta * rho, (C,) float64."""
        return self.beta * self.mean_radius.astype(np.float64)

    @cached_property
    def coverage_radius(self) -> FloatArray:
        """The radius r that one record covers: coverage_fraction * rs, (C,) float64.

        r is a share of rs because the embedding's scale is free: an absolute r can be
        so small beside rs that no budget ever fills the region.
        """
        return self.coverage_fraction * self.sensitive_radius

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of all that a ledger depends on; ledgers are kept under it."""
        content = hashlib.sha256(repr(self.cluster_centers.shape).encode())
        for array in (self.cluster_centers, self.mean_radius):
            content.update(np.ascontiguousarray(array, "<f4").tobytes())
        # Plain floats: 1, 1.0 and np.float64(1.0) are one parameter, but not one repr.
        scalars = (float(self.alpha), float(self.beta), float(self.coverage_fraction))
        content.update(repr(scalars).encode())
        return content.hexdigest()


def fit_geometry(
    embeddings: NDArray[np.floating],
    labels: LabelArray,
    num_classes: int,
    *,
    coverage_fraction: float = 0.02,
    class_names: Sequence[str] | None = None,
) -> Geometry:
    """Measure c_y = mean embedding and rho_y = mean distance to c_y, over the whole set.

    `embeddings` (N, E), `labels` (N,) true classes in 0..C-1; alpha and beta are 1.
    Raises FitError, which names the class, for a class with fewer than two samples, a radius of 0
    or a number that is not finite: such a class would be silently unprotected.
    """
    _require_samples(labels, num_classes, class_names)
    wide = np.asarray(embeddings, np.float64)
    centers = class_means(wide, labels, num_classes)
    # NumPy would warn of infinity minus infinity; `_require_regions` refuses it with a message.
    with np.errstate(invalid="ignore"):
        distances = np.linalg.norm(wide - centers[labels], axis=1)
    radius = class_means(distances[:, None], labels, num_classes)[:, 0]
    _require_regions(centers, radius, class_names)
    return Geometry(
        centers.astype(np.float32),
        radius.astype(np.float32),
        coverage_fraction=coverage_fraction,
    )


def fit_feature_centers(
    features: NDArray[np.floating], labels: LabelArray, num_classes: int
) -> SingleArray:
    """F_y = mean feature of class y: `features` (N, D) -> (C, D) float32.

    Raises FitError for a class with fewer than two samples.
    """
    _require_samples(labels, num_classes, None)
    return class_means(np.asarray(features, np.float64), labels, num_classes).astype(np.float32)


def class_means(values: FloatArray, labels: LabelArray, num_classes: int) -> FloatArray:
    """Mean of `values` (N, W) over the samples of each class, (C, W)."""
    sums = np.zeros((num_classes, values.shape[1]))
    np.add.at(sums, labels, values)
    counts = np.bincount(labels, minlength=num_classes)
    means: FloatArray = sums / np.maximum(counts, 1)[:, None]
    return means


def _class_title(label: int, class_names: Sequence[str] | None) -> str:
    """The words by which an error names a class."""
    return f"class {label}" + (f" ({class_names[label]})" if class_names else "")


def _require_samples(
    labels: LabelArray, num_classes: int, class_names: Sequence[str] | None
) -> None:
    if len(labels) and not (labels.min() >= 0 and labels.max() < num_classes):
        raise FitError(
            f"expected labels in 0..{num_classes - 1}, got {labels.min()}..{labels.max()}"
        )
    for label, count in enumerate(np.bincount(labels, minlength=num_classes)):
        if count < 2:
            raise FitError(
                f"{_class_title(label, class_names)}: expected at least 2 samples, got {count}"
            )


def _require_regions(
    centers: NDArray[np.floating],
    radius: NDArray[np.floating],
    class_names: Sequence[str] | None,
) -> None:
    for label, (center, rho) in enumerate(zip(centers, radius, strict=True)):
        if not (np.isfinite(center).all() and np.isfinite(rho)):
            raise FitError(f"{_class_title(label, class_names)}: its embeddings are not finite")
        if rho <= 0:
            raise FitError(
                f"{_class_title(label, class_names)}: expected a mean radius above 0, got {rho}; "
                "all its samples have the same embedding"
            )
