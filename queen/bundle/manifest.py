"""The manifest: everything about a bundle that is not a tensor, as a JSON file."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from queen.bundle.input_range import InputRange
from queen.method.answers.decoy import SketchSpace
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import OffDistributionMeter

SCHEMA_VERSION = 3

MOST_SHADOWS = 10_000
"""Shadow models of a bundle: each is a file, and a list of them is made before any is read."""

OUTPUTS = ("probabilities", "logits", "features", "embeddings")
"""Outputs of protectee.onnx, float32: (B, C), (B, C), (B, D), (B, E)."""


class _Part(BaseModel):
    # An unknown key is a typo or a newer schema: both are errors.
    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorSignature(_Part):
    """Name, Open Inference Protocol datatype and shape (-1 first, for the batch) of a tensor."""

    name: str
    datatype: str
    shape: list[int]


class GeometryParameters(_Part):
    """The scalars of `queen.method.geometry.Geometry`."""

    alpha: float
    beta: float
    coverage_fraction: float

    @classmethod
    def of(cls, geometry: Geometry) -> Self:
        """The scalars of `geometry`."""
        return cls(
            alpha=geometry.alpha,
            beta=geometry.beta,
            coverage_fraction=geometry.coverage_fraction,
        )


class DecoySpec(_Part):
    """The scalars of `queen.method.answers.decoy.SketchSpace`: S, R and the confidence."""

    sketch_width: int = Field(ge=1)
    rank: int = Field(ge=1)
    confidence: float = Field(gt=0, le=1)

    @classmethod
    def of(cls, space: SketchSpace) -> Self:
        """The scalars of `space`."""
        width, rank = space.axes.shape
        return cls(sketch_width=width, rank=rank, confidence=space.confidence)


class MeterSpec(_Part):
    """The scalars of `queen.method.meter.off_distribution.OffDistributionMeter`.

    `false_flags` is the simulated share of honest accounts that it flags, by number of queries.
    """

    rise: float = Field(gt=0)
    fall: float = Field(gt=0)
    limit: float = Field(gt=0)
    false_flags: dict[str, float]

    @classmethod
    def of(cls, meter: OffDistributionMeter, false_flags: dict[str, float]) -> Self:
        """The scalars of `meter`."""
        return cls(rise=meter.rise, fall=meter.fall, limit=meter.limit, false_flags=false_flags)


class ShadowSpec(_Part):
    """The shadow models: input, architecture, their number, and how many an answer draws."""

    on: Literal["inputs", "features"]
    architecture: Literal["head", "mlp", "cnn", "resnet"]
    input_shape: list[int]
    count: int = Field(ge=1, le=MOST_SHADOWS)
    drawn: int = Field(ge=1)

    @model_validator(mode="after")
    def _require_enough(self) -> Self:
        if self.drawn > self.count:
            raise ValueError(f"expected to draw at most {self.count} shadows, got {self.drawn}")
        return self


class Manifest(_Part):
    """Everything about a bundle that is not a tensor."""

    schema_version: int = SCHEMA_VERSION
    queen_version: str
    model_name: str
    class_names: list[str] = Field(min_length=2)
    feature_width: int = Field(ge=1)
    embedding_width: int = Field(ge=1)
    input: TensorSignature
    input_range: InputRange | None = None
    """Bounds of the input's numbers, beyond which a request is refused; None without any."""
    geometry: GeometryParameters
    shadows: ShadowSpec
    decoy: DecoySpec
    meter: MeterSpec
    fit: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of every file that a service reads, by path in the bundle."""
    digest: str = ""
    """SHA-256 of this manifest without this field: the name of the bundle."""

    @model_validator(mode="after")
    def _require_channels(self) -> Self:
        bounds = self.input_range
        if bounds is None or bounds.channel_axis is None:
            return self
        shape, axis = self.input.shape, bounds.channel_axis
        if axis >= len(shape) or shape[axis] != len(bounds.low):
            raise ValueError(
                f"expected bounds for each channel of the input {shape}, got {len(bounds.low)} on "
                f"axis {axis}"
            )
        return self

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    def compute_digest(self) -> str:
        """Hex SHA-256 over the canonical JSON of all other fields."""
        content = self.model_dump(mode="json", exclude={"digest"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """The text of manifest.json."""
        return self.model_dump_json(indent=2) + "\n"
