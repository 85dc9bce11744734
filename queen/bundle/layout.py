"""Names of the files in a bundle."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "manifest.json"
PROTECTEE = "protectee.onnx"
HEAD = "head.npz"
REGIONS = "regions.npz"
DECOY = "decoy.npz"
SHADOWS = "shadows"
REPORT = "report"
"""Folder for plots. Nothing reads it, so it is outside the digest."""


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle, whole or damaged."""
    return (folder / MANIFEST).is_file()


def shadow_file(index: int) -> str:
    """File of the shadow model `index`, counted from 0, relative to the bundle."""
    return f"{SHADOWS}/{index:02d}.safetensors"


def digested_files(shadows: int) -> list[str]:
    """The files that the manifest lists with a digest, where there are `shadows` shadow models."""
    return [PROTECTEE, HEAD, REGIONS, DECOY, *map(shadow_file, range(shadows))]
