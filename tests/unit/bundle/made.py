"""A small bundle for the tests of writing and reading, without a real graph in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle import (
    BundleDraft,
    DecoySpec,
    GeometryParameters,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
)
from queen.method.answers.decoy import SketchSpace
from queen.method.answers.label_preserving import LinearHead
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import OffDistributionMeter

PROTECTEE = b"bytes of a graph"
CLASSES, FEATURES, EMBEDDINGS = 3, 5, 2


def manifest(**changes: Any) -> Manifest:
    """The manifest of the small bundle, without files and digest."""
    fields: dict[str, Any] = {
        "queen_version": "0.1",
        "model_name": "small",
        "class_names": ["cat", "dog", "bird"],
        "feature_width": FEATURES,
        "embedding_width": EMBEDDINGS,
        "input": TensorSignature(name="x", datatype="FP32", shape=[-1, 4]),
        "geometry": GeometryParameters(alpha=1.0, beta=1.25, coverage_fraction=0.02),
        "shadows": ShadowSpec(
            on="features", architecture="head", input_shape=[5], count=2, drawn=1
        ),
        "decoy": DecoySpec(sketch_width=4, rank=2, confidence=0.75),
        "meter": MeterSpec(rise=1.5, fall=0.25, limit=10.0, false_flags={"1000": 0.001}),
        "fit": {"seed": 1, "flip_rate": 0.75},
    }
    return Manifest(**fields | changes)


def _numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def head() -> LinearHead:
    """A head with C = 3, D = 5."""
    return LinearHead(
        _numbers(CLASSES, FEATURES), _numbers(CLASSES), _numbers(CLASSES, FEATURES) + 1, 1.75
    )


def geometry() -> Geometry:
    """Regions with C = 3, E = 2."""
    radii = np.array([0.5, 1.0, 2.0], np.float32)
    return Geometry(_numbers(CLASSES, EMBEDDINGS), radii, 1.0, 1.25, 0.02)


def sketch_space() -> SketchSpace:
    """A frame with S = 4, R = 2."""
    return SketchSpace(_numbers(4), _numbers(4, 2), _numbers(CLASSES, 2), 0.75)


def meter() -> OffDistributionMeter:
    """A meter for C = 3."""
    return OffDistributionMeter(np.array([1.0, 2.0, 4.0]), 1.5, 0.25, 10.0)


def shadow(seed: int) -> dict[str, NDArray[np.float32]]:
    """The tensors of one shadow."""
    return {"weight": _numbers(CLASSES, FEATURES) + seed, "scale": np.array(seed, np.float32)}


def draft(**changes: Any) -> BundleDraft:
    """The small bundle before it is written, with some of its parts changed."""
    parts: dict[str, Any] = {
        "manifest": manifest(),
        "protectee": PROTECTEE,
        "head": head(),
        "geometry": geometry(),
        "mean_squared_sqs": np.array([0.3, 0.4, 0.5]),
        "sketch_space": sketch_space(),
        "meter": meter(),
        "shadows": [shadow(0), shadow(1)],
    }
    return BundleDraft(**parts | changes)


def content(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def reseal(folder: Path, name: str, data: bytes) -> None:
    """Put `data` in the place of a file, with digests that agree: a writer gone wrong."""
    (folder / name).write_bytes(data)
    old = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    files = old.files | {name: hashlib.sha256(data).hexdigest()}
    changed = old.model_copy(update={"files": files})
    changed = changed.model_copy(update={"digest": changed.compute_digest()})
    (folder / "manifest.json").write_text(changed.to_json())
