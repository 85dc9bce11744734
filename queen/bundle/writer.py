"""Write a bundle: all of it, or nothing."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from queen.bundle import layout
from queen.bundle.manifest import Manifest
from queen.errors import BundleError
from queen.method.decoy import SketchSpace
from queen.method.geometry import FloatArray, Geometry
from queen.method.label_preserving import LinearHead
from queen.method.off_distribution import OffDistributionMeter

Tensors = Mapping[str, NDArray[np.generic]]


def write_bundle(
    out: Path,
    manifest: Manifest,
    *,
    protectee: bytes,
    head: LinearHead,
    geometry: Geometry,
    mean_squared_sqs: FloatArray,
    sketch_space: SketchSpace,
    meter: OffDistributionMeter,
    shadows: Sequence[Tensors],
    replace: bool = False,
) -> Manifest:
    """Write `out` atomically and return the manifest with file digests and its own digest.

    `manifest` comes without `files` and `digest`; `protectee` is the ONNX graph with the
    outputs of `queen.bundle.manifest.OUTPUTS`; `shadows` hold float tensors by name.
    Raises BundleError if the parts contradict the manifest, if `out` exists and `replace`
    is false, or if it is something else than a bundle; nothing is then changed.
    """
    out = Path(out)
    _require_place(out, replace=replace)
    _require_agreement(manifest, head, geometry, mean_squared_sqs, len(shadows))
    _require_same_decoy_and_meter(manifest, sketch_space, meter)
    out.parent.mkdir(parents=True, exist_ok=True)
    # A sibling, so that the rename at the end stays on one file system.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as staging:
        folder = Path(staging) / "bundle"
        _write_files(folder, protectee, head, shadows)
        _write_regions(folder, geometry, mean_squared_sqs, meter)
        _write_decoy(folder, sketch_space)
        files = {name: file_digest(folder / name) for name in _names(len(shadows))}
        complete = manifest.model_copy(update={"files": files, "digest": ""})
        complete = complete.model_copy(update={"digest": _digest(complete)})
        (folder / layout.MANIFEST).write_text(complete.to_json())
        _swap_in(folder, out)
    return complete


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_place(out: Path, *, replace: bool) -> None:
    if not out.exists():
        return
    if not replace:
        raise BundleError(f"{out} exists; remove it or allow it to be replaced")
    # Replacing deletes what was there: never a folder of something else.
    if not (out / layout.MANIFEST).is_file():
        raise BundleError(f"{out} is not a bundle, so it is not replaced; choose another name")


def _require_agreement(
    manifest: Manifest,
    head: LinearHead,
    geometry: Geometry,
    mean_squared_sqs: FloatArray,
    shadows: int,
) -> None:
    scalars = manifest.geometry
    expected = {
        "head weight": (manifest.num_classes, manifest.feature_width),
        "cluster centers": (manifest.num_classes, manifest.embedding_width),
        "mean squared sqs": (manifest.num_classes,),
        "alpha, beta, coverage fraction": (scalars.alpha, scalars.beta, scalars.coverage_fraction),
        "shadows": manifest.shadows.count,
    }
    got = {
        "head weight": head.weight.shape,
        "cluster centers": geometry.cluster_centers.shape,
        "mean squared sqs": np.shape(mean_squared_sqs),
        "alpha, beta, coverage fraction": (
            geometry.alpha,
            geometry.beta,
            geometry.coverage_fraction,
        ),
        "shadows": shadows,
    }
    _require_equal(expected, got)


def _require_same_decoy_and_meter(
    manifest: Manifest, space: SketchSpace, meter: OffDistributionMeter
) -> None:
    classes, decoy, levels = manifest.num_classes, manifest.decoy, manifest.meter
    expected = {
        "sketch axes": (decoy.sketch_width, decoy.rank),
        "sketch class means": (classes, decoy.rank),
        "decoy confidence": decoy.confidence,
        "tail distance": (classes,),
        "meter rise, fall, limit": (levels.rise, levels.fall, levels.limit),
    }
    got = {
        "sketch axes": space.axes.shape,
        "sketch class means": space.class_means.shape,
        "decoy confidence": space.confidence,
        "tail distance": np.shape(meter.tail_distance),
        "meter rise, fall, limit": (meter.rise, meter.fall, meter.limit),
    }
    _require_equal(expected, got)


def _require_equal(expected: Mapping[str, object], got: Mapping[str, object]) -> None:
    for name, value in expected.items():
        if got[name] != value:
            raise BundleError(f"{name}: the manifest says {value}, got {got[name]}")


def _digest(manifest: Manifest) -> str:
    try:
        return manifest.compute_digest()
    except ValueError as error:
        # A NumPy scalar, most often.
        raise BundleError(f"manifest: expected plain values in `fit`: {error}") from error


def _names(shadows: int) -> list[str]:
    fixed = [layout.PROTECTEE, layout.HEAD, layout.REGIONS, layout.DECOY]
    return fixed + [layout.shadow_file(number) for number in range(shadows)]


def _write_files(
    folder: Path,
    protectee: bytes,
    head: LinearHead,
    shadows: Sequence[Tensors],
) -> None:
    (folder / layout.SHADOWS).mkdir(parents=True)
    (folder / layout.PROTECTEE).write_bytes(protectee)
    np.savez(
        folder / layout.HEAD,
        weight=head.weight,
        bias=head.bias,
        feature_centers=head.feature_centers,
        spread=np.float64(head.spread),
    )
    for number, tensors in enumerate(shadows):
        # Not `ascontiguousarray`, which makes a vector of a scalar.
        plain = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
        shadow = folder / layout.shadow_file(number)
        save_file(plain, shadow)
        # safetensors writes for the owner only, but services run as another user.
        shadow.chmod(0o644)


def _write_regions(
    folder: Path, geometry: Geometry, mean_squared_sqs: FloatArray, meter: OffDistributionMeter
) -> None:
    np.savez(
        folder / layout.REGIONS,
        cluster_centers=geometry.cluster_centers,
        mean_radius=geometry.mean_radius,
        mean_squared_sqs=np.asarray(mean_squared_sqs, np.float64),
        tail_distance=np.asarray(meter.tail_distance, np.float64),
    )


def _write_decoy(folder: Path, space: SketchSpace) -> None:
    np.savez(
        folder / layout.DECOY,
        sketch_mean=space.mean,
        sketch_axes=space.axes,
        sketch_class_means=space.class_means,
    )


def _swap_in(folder: Path, out: Path) -> None:
    if not out.exists():
        folder.rename(out)
        return
    old = folder.parent / "old"
    out.rename(old)
    try:
        folder.rename(out)
    except BaseException:
        # The staging folder, and `old` in it, is about to be deleted.
        old.rename(out)
        raise
