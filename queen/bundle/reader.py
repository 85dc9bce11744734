"""Open a bundle: every byte is checked before anything is used."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from queen.bundle import layout
from queen.bundle.manifest import SCHEMA_VERSION, Manifest
from queen.bundle.writer import file_digest
from queen.errors import (
    BundleCorrupt,
    BundleError,
    BundleNotFound,
    BundleVersionUnsupported,
    QueenError,
)
from queen.method.answers.decoy import SketchSpace
from queen.method.answers.label_preserving import LinearHead
from queen.method.geometry import FloatArray, Geometry
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.printable import brief

_Part = TypeVar("_Part")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle; the tensors are read when they are first asked for."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """The bundle's name: hex SHA-256 of its manifest."""
        return self.manifest.digest

    @property
    def protectee_path(self) -> Path:
        """The ONNX graph."""
        return self.path / layout.PROTECTEE

    @cached_property
    def geometry(self) -> Geometry:
        """The sensitive regions."""
        classes, width = self.manifest.num_classes, self.manifest.embedding_width
        shapes = {"cluster_centers": (classes, width), "mean_radius": (classes,)}
        arrays = self._arrays(layout.REGIONS, shapes)
        centers, radius = (arrays[name].astype(np.float32) for name in shapes)
        scalars = self.manifest.geometry
        return _checked(
            layout.REGIONS,
            lambda: Geometry(
                centers, radius, scalars.alpha, scalars.beta, scalars.coverage_fraction
            ),
        )

    @cached_property
    def mean_squared_sqs(self) -> FloatArray:
        """Mean sqs^2 inside each region, (C,), from which a budget becomes a threshold."""
        shapes = {"mean_squared_sqs": (self.manifest.num_classes,)}
        values = self._arrays(layout.REGIONS, shapes)["mean_squared_sqs"].astype(np.float64)
        # A NaN would become a threshold that nothing ever exceeds.
        if not ((values > 0) & (values <= 1)).all():
            raise BundleCorrupt(f"{layout.REGIONS}: expected mean squared sqs in (0, 1]")
        return values

    @cached_property
    def head(self) -> LinearHead:
        """The protectee's last layer with its feature centers."""
        matrix = (self.manifest.num_classes, self.manifest.feature_width)
        shapes = {"weight": matrix, "bias": matrix[:1], "feature_centers": matrix, "spread": ()}
        arrays = self._arrays(layout.HEAD, shapes)
        weight, bias, centers = (arrays[name].astype(np.float32) for name in list(shapes)[:3])
        spread = float(arrays["spread"])
        return _checked(layout.HEAD, lambda: LinearHead(weight, bias, centers, spread))

    @cached_property
    def sketch_space(self) -> SketchSpace:
        """The frame in which decoys are drawn."""
        spec, classes = self.manifest.decoy, self.manifest.num_classes
        shapes = {
            "sketch_mean": (spec.sketch_width,),
            "sketch_axes": (spec.sketch_width, spec.rank),
            "sketch_class_means": (classes, spec.rank),
        }
        arrays = self._arrays(layout.DECOY, shapes)
        mean, axes, means = (arrays[name].astype(np.float32) for name in shapes)
        return _checked(layout.DECOY, lambda: SketchSpace(mean, axes, means, spec.confidence))

    @cached_property
    def meter(self) -> OffDistributionMeter:
        """The off-distribution meter."""
        spec = self.manifest.meter
        shapes = {"tail_distance": (self.manifest.num_classes,)}
        tails = self._arrays(layout.REGIONS, shapes)["tail_distance"].astype(np.float64)
        return _checked(
            layout.REGIONS, lambda: OffDistributionMeter(tails, spec.rise, spec.fall, spec.limit)
        )

    def shadow(self, index: int) -> dict[str, NDArray[np.generic]]:
        """Tensors of a shadow model by name; `index` counts from 0."""
        name = layout.shadow_file(index)
        try:
            return dict(load_file(self.path / name))
        except (OSError, SafetensorError) as error:
            raise BundleCorrupt(f"{self.path / name}: not a safetensors file") from error

    def _arrays(
        self, name: str, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, NDArray[np.floating]]:
        file = self.path / name
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in shapes}
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise BundleCorrupt(f"{file}: expected arrays {', '.join(shapes)}") from error
        for key, shape in shapes.items():
            got = arrays[key]
            if got.shape != shape or got.dtype.kind != "f":
                raise BundleCorrupt(
                    f"{file}: expected {key} of floats {shape}, got {got.dtype} {got.shape}"
                )
        return arrays


def open_bundle(path: Path | str) -> Bundle:
    """Read the manifest and verify the digest of every file it lists.

    Raises BundleNotFound for a missing folder or file, BundleVersionUnsupported for a
    manifest of another schema, BundleCorrupt for anything that is not as written (white
    space in the manifest aside).
    """
    try:
        return _open(Path(path))
    except OSError as error:
        # Most often a volume mounted for another user.
        raise BundleNotFound(f"{path}: cannot be read: {error}") from error


def _open(folder: Path) -> Bundle:
    manifest = _read_manifest(folder)
    _require_layout(folder, manifest)
    for name, expected in manifest.files.items():
        _require_inside(folder, name)
        _verify(folder / name, expected)
    return Bundle(folder, manifest)


def _require_inside(folder: Path, name: str) -> None:
    """BundleCorrupt for a file that does not lie in the bundle, by its name or through a link."""
    file = folder / name
    is_plain = "\0" not in name and not Path(name).is_absolute() and ".." not in Path(name).parts
    if not is_plain or not file.resolve().is_relative_to(folder.resolve()):
        raise BundleCorrupt(
            f"{folder / layout.MANIFEST}: expected files inside of the bundle, got one outside; "
            "copy the files themselves, not links to them"
        )


def _readable(file: Path) -> bool:
    """Whether a file is there; BundleError if this user may not read it."""
    if file.is_file() and not os.access(file, os.R_OK):
        raise BundleError(f"{file}: this user may not read it; chmod -R a+rX {file.parent}")
    return file.is_file()


def _read_manifest(folder: Path) -> Manifest:
    file = folder / layout.MANIFEST
    if not _readable(file):
        raise BundleNotFound(f"{folder}: no bundle here, {layout.MANIFEST} is missing")
    try:
        content = json.loads(file.read_text())
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleCorrupt(f"{file}: not a manifest; copy the bundle again or refit") from error
    if version != SCHEMA_VERSION:
        raise BundleVersionUnsupported(
            f"{file}: expected schema version {SCHEMA_VERSION}, got {brief(version)}; "
            "refit the bundle with this version of Queen"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(brief(part) for part in first["loc"])
        raise BundleCorrupt(f"{file}: {where}: {first['msg']}") from error
    if not _is_as_written(manifest):
        raise BundleCorrupt(f"{file}: changed since it was written; copy the bundle again or refit")
    return manifest


def _is_as_written(manifest: Manifest) -> bool:
    try:
        return manifest.compute_digest() == manifest.digest
    # JSON has no NaN, so no digest was ever computed of one.
    except (ValueError, RecursionError):
        return False


def _require_layout(folder: Path, manifest: Manifest) -> None:
    for name in layout.digested_files(manifest.shadows.count):
        if name not in manifest.files:
            raise BundleCorrupt(f"{folder / layout.MANIFEST}: it lists no {name}")


def _verify(file: Path, expected: str) -> None:
    if not _readable(file):
        raise BundleNotFound(f"{file}: the manifest lists this file, but it is missing")
    got = file_digest(file)
    if got != expected:
        raise BundleCorrupt(
            f"{file}: expected SHA-256 {expected[:12]}..., got {got[:12]}...; "
            "copy the bundle again or refit"
        )


def _checked(name: str, build: Callable[[], _Part]) -> _Part:
    try:
        return build()
    except QueenError as error:
        raise BundleCorrupt(f"{name}: {error}") from error
