"""Names of the files in a bundle."""

from __future__ import annotations

MANIFEST = "manifest.json"
PROTECTEE = "protectee.onnx"
HEAD = "head.npz"
REGIONS = "regions.npz"
DECOY = "decoy.npz"
SHADOWS = "shadows"
REPORT = "report"
"""Folder for plots. Nothing reads it, so it is outside the digest."""


def shadow_file(number: int) -> str:
    """File of shadow `number`, relative to the bundle."""
    return f"{SHADOWS}/{number:02d}.safetensors"
