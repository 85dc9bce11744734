"""The check of a bundle's graph: runs it, and compares its answers with the head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import open_session, probe_rows, require_signature

from queen.bundle import OUTPUTS, Bundle
from queen.errors import BundleCorrupt
from queen.wire import DATATYPES

_ROWS = 3
_TOLERANCE = 1e-3

Outputs = dict[str, NDArray[np.float32]]


def check_protectee(bundle: Bundle) -> str:
    """Check that the graph loads, runs any batch, and agrees with head and manifest.

    Returns a note; raises BundleCorrupt otherwise.
    """
    signature = bundle.manifest.input
    if signature.datatype not in DATATYPES:
        raise BundleCorrupt(f"expected a numeric input, the manifest says {signature.datatype}")
    session = open_session(bundle, threads=1)
    require_signature(session, bundle)
    rows = probe_rows(signature, _ROWS)
    _run(bundle, session, rows[:1])
    outputs = _run(bundle, session, rows)
    _require_shapes(bundle, outputs)
    _require_linear(bundle, outputs)
    return "runs, and its logits are those of the head"


def _run(bundle: Bundle, session: Any, rows: NDArray[Any]) -> Outputs:
    try:
        arrays = session.run(list(OUTPUTS), {bundle.manifest.input.name: rows})
    except Exception as error:
        raise BundleCorrupt(
            f"protectee.onnx does not run {len(rows)} rows of {rows.dtype} {list(rows.shape[1:])}: "
            "its input is not as the manifest states, or its batch axis is fixed; refit the bundle"
        ) from error
    return dict(zip(OUTPUTS, arrays, strict=True))


def _require_shapes(bundle: Bundle, outputs: Outputs) -> None:
    manifest = bundle.manifest
    widths = (manifest.num_classes,) * 2 + (manifest.feature_width, manifest.embedding_width)
    for (name, array), width in zip(outputs.items(), widths, strict=True):
        expected, got = f"float32 {(_ROWS, width)}", f"{array.dtype} {array.shape}"
        if got != expected:
            raise BundleCorrupt(f"output {name}: expected {expected}, got {got}; refit the bundle")


def _require_linear(bundle: Bundle, outputs: Outputs) -> None:
    """Check that logits = W f + b, relative to their size."""
    head, features = bundle.head, outputs["features"].astype(np.float64)
    expected = features @ head.weight.T + head.bias
    off = np.abs(expected - outputs["logits"]).max()
    if not off <= _TOLERANCE * (1.0 + np.abs(expected).max()):
        raise BundleCorrupt(
            f"head.npz is not the last layer of protectee.onnx: logits are off by {off:.2g}; "
            "refit the bundle"
        )
