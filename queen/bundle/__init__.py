"""The bundle: the fitted folder that `queen fit` writes and the three services read."""

from queen.bundle.draft import BundleDraft
from queen.bundle.input_range import InputRange
from queen.bundle.manifest import (
    OUTPUTS,
    DecoySpec,
    GeometryParameters,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
)
from queen.bundle.reader import Bundle, open_bundle
from queen.bundle.writer import write_bundle

__all__ = [
    "OUTPUTS",
    "Bundle",
    "BundleDraft",
    "DecoySpec",
    "GeometryParameters",
    "InputRange",
    "Manifest",
    "MeterSpec",
    "ShadowSpec",
    "TensorSignature",
    "open_bundle",
    "write_bundle",
]
