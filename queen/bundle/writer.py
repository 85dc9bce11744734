"""Write a bundle: the whole folder, or nothing."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from queen.bundle import layout
from queen.bundle.draft import BundleDraft, Tensors
from queen.bundle.manifest import Manifest
from queen.errors import BundleError
from queen.method.answers.decoy import SketchSpace
from queen.method.answers.label_preserving import LinearHead


def write_bundle(out: Path, draft: BundleDraft, *, replace: bool = False) -> Manifest:
    """Write the bundle `out` atomically; returns the manifest with the digests filled in.

    Raises BundleError if the parts contradict the manifest, if `out` exists and `replace`
    is false, or if `out` is something else than a bundle; nothing is then changed.
    """
    out = Path(out)
    _require_free_or_bundle(out, replace=replace)
    draft.require_agreement()
    out.parent.mkdir(parents=True, exist_ok=True)
    # A sibling, so that the rename at the end stays on one file system.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as staging:
        folder = Path(staging) / "bundle"
        _write_files(folder, draft)
        files = {
            name: file_digest(folder / name) for name in layout.digested_files(len(draft.shadows))
        }
        complete = draft.manifest.model_copy(update={"files": files, "digest": ""})
        complete = complete.model_copy(update={"digest": _digest(complete)})
        (folder / layout.MANIFEST).write_text(complete.to_json())
        _swap_in(folder, out)
    return complete


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_free_or_bundle(out: Path, *, replace: bool) -> None:
    if not out.exists():
        return
    if not replace:
        raise BundleError(f"{out} exists; remove it or allow it to be replaced")
    # Replacing deletes the old folder, so only a bundle may be replaced.
    if not layout.is_bundle(out):
        raise BundleError(f"{out} is not a bundle, so it is not replaced; choose another name")


def _digest(manifest: Manifest) -> str:
    try:
        return manifest.compute_digest()
    except ValueError as error:
        # The reason is a NumPy scalar, most often.
        raise BundleError(f"manifest: expected plain values in `fit`: {error}") from error


def _write_files(folder: Path, draft: BundleDraft) -> None:
    folder.mkdir(parents=True)
    (folder / layout.PROTECTEE).write_bytes(draft.protectee)
    _write_head(folder / layout.HEAD, draft.head)
    _write_regions(folder / layout.REGIONS, draft)
    _write_decoy(folder / layout.DECOY, draft.sketch_space)
    (folder / layout.SHADOWS).mkdir()
    for index, tensors in enumerate(draft.shadows):
        _write_shadow(folder / layout.shadow_file(index), tensors)


def _write_head(file: Path, head: LinearHead) -> None:
    np.savez(
        file,
        weight=head.weight,
        bias=head.bias,
        feature_centers=head.feature_centers,
        spread=np.float64(head.spread),
    )


def _write_regions(file: Path, draft: BundleDraft) -> None:
    np.savez(
        file,
        cluster_centers=draft.geometry.cluster_centers,
        mean_radius=draft.geometry.mean_radius,
        mean_squared_sqs=np.asarray(draft.mean_squared_sqs, np.float64),
        tail_distance=np.asarray(draft.meter.tail_distance, np.float64),
    )


def _write_decoy(file: Path, space: SketchSpace) -> None:
    np.savez(
        file,
        sketch_mean=space.mean,
        sketch_axes=space.axes,
        sketch_class_means=space.class_means,
    )


def _write_shadow(file: Path, tensors: Tensors) -> None:
    # Not `ascontiguousarray`, which makes a vector of a scalar.
    save_file({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}, file)
    # safetensors makes a file that only its writer may read, but services run as another user.
    file.chmod(0o644)


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
