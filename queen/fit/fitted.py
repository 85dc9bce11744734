"""The value that travels through a fit: the inputs, and the part that each stage adds.

Shapes: N samples, C classes, D feature width, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle.input_range import InputRange
from queen.fit.graph.surgery import Protectee
from queen.fit.options import FitOptions
from queen.fit.training.mapping import MappingPlan
from queen.fit.training_set import TrainingSet, held_out_rows
from queen.method.answers.decoy import SketchSpace
from queen.method.answers.ensemble import ShadowNetwork
from queen.method.answers.label_preserving import LinearHead
from queen.method.geometry import FloatArray, Geometry
from queen.method.meter.off_distribution import OffDistributionMeter


@dataclass(frozen=True, eq=False)
class Responses:
    """The protectee's answers to the N samples, float32.

    `probabilities` (N, C), `logits` (N, C), `features` (N, D).
    """

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    features: NDArray[np.float32]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The predicted classes y, argmax of the logits, (N,)."""
        labels: NDArray[np.int64] = self.logits.argmax(axis=1)
        return labels


@dataclass(frozen=True, eq=False)
class Regions:
    """The embedding and the sensitive regions in it.

    `embeddings` z (N, E); `mean_squared_sqs` (C,); `inside` (N,) marks the samples in the
    region of their predicted class; `graph` is the protectee's ONNX file with the mapping
    network in it, which was trained by `plan` and has layers of `layer_widths`.
    """

    embeddings: NDArray[np.float32]
    geometry: Geometry
    mean_squared_sqs: FloatArray
    inside: NDArray[np.bool_]
    graph: bytes
    plan: MappingPlan
    layer_widths: list[int]


@dataclass(frozen=True, eq=False)
class OffDistribution:
    """The off-distribution meter.

    `false_flags` is the simulated share of honest accounts that it flags, by number of queries.
    """

    meter: OffDistributionMeter
    false_flags: dict[str, float]


@dataclass(frozen=True, eq=False)
class Shadows:
    """The trained shadow models, the shape of their input, and the figures of their report."""

    networks: list[ShadowNetwork]
    input_shape: list[int]
    figures: dict[str, Any]


@dataclass(eq=False)
class Fitted:
    """A fit as far as it has come: a part can be read once its stage has run.

    `class_names` are the C names in the order of the protectee's outputs.
    """

    options: FitOptions
    protectee: Protectee
    samples: TrainingSet
    class_names: list[str]
    input_range: InputRange | None = field(init=False)
    responses: Responses = field(init=False)
    head: LinearHead = field(init=False)
    regions: Regions = field(init=False)
    sketch_space: SketchSpace = field(init=False)
    off_distribution: OffDistribution = field(init=False)
    shadows: Shadows = field(init=False)

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """Marks (N,) of the samples that the mapping network does not train on."""
        return held_out_rows(self.samples.y, self.options.seed)

    @property
    def shadow_inputs(self) -> NDArray[Any]:
        """(N, ...): the inputs or the features, whichever the shadow models read."""
        return self.samples.x if self.options.shadows_on == "inputs" else self.responses.features
