"""A bundle before it is written: the manifest without digests, and every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.bundle.manifest import Manifest
from queen.errors import BundleError
from queen.method.answers.decoy import SketchSpace
from queen.method.answers.label_preserving import LinearHead
from queen.method.geometry import FloatArray, Geometry
from queen.method.meter.off_distribution import OffDistributionMeter

Tensors = Mapping[str, NDArray[np.generic]]
"""Tensors of a shadow model, by parameter name."""


@dataclass(frozen=True, eq=False)
class BundleDraft:
    """The content of a bundle that is yet to be written.

    `manifest` comes without `files` and `digest`; `protectee` is the ONNX graph with the
    outputs of `queen.bundle.manifest.OUTPUTS`; `mean_squared_sqs` (C,); `shadows` hold the
    float tensors of each shadow model by name.
    """

    manifest: Manifest
    protectee: bytes
    head: LinearHead
    geometry: Geometry
    mean_squared_sqs: FloatArray
    sketch_space: SketchSpace
    meter: OffDistributionMeter
    shadows: Sequence[Tensors]

    def require_agreement(self) -> None:
        """Check every part against the manifest; BundleError names the first that differs."""
        got = self._shapes_and_scalars()
        for name, stated in _stated_by(self.manifest).items():
            if got[name] != stated:
                raise BundleError(f"{name}: the manifest says {stated}, got {got[name]}")

    def _shapes_and_scalars(self) -> dict[str, object]:
        geometry, space, meter = self.geometry, self.sketch_space, self.meter
        return {
            "head weight": self.head.weight.shape,
            "cluster centers": geometry.cluster_centers.shape,
            "mean squared sqs": np.shape(self.mean_squared_sqs),
            "alpha, beta, coverage fraction": (
                geometry.alpha,
                geometry.beta,
                geometry.coverage_fraction,
            ),
            "shadows": len(self.shadows),
            "sketch axes": space.axes.shape,
            "sketch class means": space.class_means.shape,
            "decoy confidence": space.confidence,
            "tail distance": np.shape(meter.tail_distance),
            "meter rise, fall, limit": (meter.rise, meter.fall, meter.limit),
        }


def _stated_by(manifest: Manifest) -> dict[str, object]:
    scalars, decoy, levels = manifest.geometry, manifest.decoy, manifest.meter
    classes = manifest.num_classes
    return {
        "head weight": (classes, manifest.feature_width),
        "cluster centers": (classes, manifest.embedding_width),
        "mean squared sqs": (classes,),
        "alpha, beta, coverage fraction": (scalars.alpha, scalars.beta, scalars.coverage_fraction),
        "shadows": manifest.shadows.count,
        "sketch axes": (decoy.sketch_width, decoy.rank),
        "sketch class means": (classes, decoy.rank),
        "decoy confidence": decoy.confidence,
        "tail distance": (classes,),
        "meter rise, fall, limit": (levels.rise, levels.fall, levels.limit),
    }
