"""What can be wrong with a bundle, beyond what opening it shows."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle import OUTPUTS, Bundle, open_bundle
from queen.errors import BundleCorrupt, QueenError
from queen.method.decoy import sketch_width
from queen.method.sensitivity import largest_budget
from queen.wire import DATATYPES

PROBE_ROWS = 3
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, and what is wrong with it, if anything."""

    subject: str
    problem: str | None
    note: str = ""


def check_bundle(path: Path) -> Iterator[Finding]:
    """Every check in turn; one that the others rest upon ends the list if it fails."""
    opened = _attempt("manifest and digests", lambda: open_bundle(path))
    yield opened[0]
    if opened[1] is None:
        return
    bundle = opened[1]
    for subject, look in (
        ("regions", _regions),
        ("head", _head),
        ("shadows", _shadows),
        ("decoy", _decoy),
        ("meter", _meter),
        ("protectee", _protectee),
    ):
        yield _attempt(subject, lambda look=look: look(bundle))[0]  # type: ignore[misc]


def _attempt(subject: str, look: Callable[[], Any]) -> tuple[Finding, Any]:
    try:
        result = look()
    except QueenError as error:
        return Finding(subject, str(error)), None
    return Finding(subject, None, result if isinstance(result, str) else ""), result


def _regions(bundle: Bundle) -> str:
    """Shapes as the manifest states them, finite numbers, room for at least one record."""
    manifest, geometry = bundle.manifest, bundle.geometry
    _same("cluster centers", geometry.cluster_centers.shape, _extents(manifest, "embedding_width"))
    squared = bundle.mean_squared_sqs
    _same("mean squared sqs", squared.shape, (manifest.num_classes,))
    if not (np.isfinite(squared).all() and (squared > 0).all()):
        raise BundleCorrupt("expected mean squared sqs above 0, got others; refit the bundle")
    largest = largest_budget(geometry, squared)
    if largest < 1:
        raise BundleCorrupt("the regions have no room for one record; fit a smaller coverage")
    return f"budgets up to {largest}"


def _head(bundle: Bundle) -> None:
    """Shapes as the manifest states them, finite numbers."""
    shape = _extents(bundle.manifest, "feature_width")
    for name in ("weight", "bias", "feature_centers"):
        array = getattr(bundle.head, name)
        _same(name, array.shape, shape[:1] if name == "bias" else shape)
        if not np.isfinite(array).all():
            raise BundleCorrupt(f"head.npz: {name} is not finite; refit the bundle")


def _shadows(bundle: Bundle) -> str:
    """Every file is read; with Torch, every shadow is also loaded into its architecture."""
    count = bundle.manifest.shadows.count
    for index in range(count):
        if not all(np.isfinite(tensor).all() for tensor in bundle.shadow(index).values()):
            raise BundleCorrupt(f"shadow {index}: its weights are not finite; refit the bundle")
    if importlib.util.find_spec("torch") is None:
        return f"{count} read; not built, Torch is not installed"
    # They import Torch.
    from queen_perturber.shadows import choose_device, load_shadows  # noqa: PLC0415

    load_shadows(bundle, choose_device("cpu"))
    return f"{count} built"


def _decoy(bundle: Bundle) -> None:
    """Finite, and for sketches as wide as those of the input that the manifest states."""
    shape = tuple(max(extent, 1) for extent in bundle.manifest.input.shape[1:])
    _same("sketch width", len(bundle.sketch_space.mean), sketch_width(shape))


def _meter(bundle: Bundle) -> str:
    """Finite; the largest simulated share of honest accounts that it flags."""
    flags = bundle.manifest.meter.false_flags
    return f"limit {bundle.meter.limit:.2f}, at most {max(flags.values(), default=0):.2%} of flags"


def _protectee(bundle: Bundle) -> str:
    """The graph loads, takes any batch, and its outputs agree with head and manifest."""
    if importlib.util.find_spec("onnxruntime") is None:
        return "not run, ONNX Runtime is not installed"
    session = _session(bundle)
    rows = _probe(bundle)
    outputs = {size: _run(bundle, session, rows[:size]) for size in (1, PROBE_ROWS)}
    _require_outputs(bundle, outputs[PROBE_ROWS])
    _require_linear(bundle, outputs[PROBE_ROWS])
    return "runs, and its logits are those of the head"


def _session(bundle: Bundle) -> Any:
    import onnxruntime as runtime  # noqa: PLC0415 - only where the extra is installed

    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = runtime.InferenceSession(
            str(bundle.protectee_path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise BundleCorrupt(
            f"{bundle.protectee_path}: ONNX Runtime cannot load it; refit from a valid ONNX file"
        ) from error
    inputs = [one.name for one in session.get_inputs()]
    _same("inputs of protectee.onnx", inputs, [bundle.manifest.input.name])
    missing = [name for name in OUTPUTS if name not in {o.name for o in session.get_outputs()}]
    if missing:
        raise BundleCorrupt(f"protectee.onnx has no output {', '.join(missing)}; refit the bundle")
    return session


def _run(bundle: Bundle, session: Any, rows: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    try:
        arrays = session.run(list(OUTPUTS), {bundle.manifest.input.name: rows})
    except Exception as error:
        raise BundleCorrupt(
            f"protectee.onnx does not run {len(rows)} rows of {rows.dtype} {list(rows.shape[1:])}: "
            "its input is not as the manifest states, or its batch axis is fixed; refit the bundle"
        ) from error
    return dict(zip(OUTPUTS, arrays, strict=True))


def _require_outputs(bundle: Bundle, outputs: dict[str, NDArray[np.float32]]) -> None:
    manifest = bundle.manifest
    widths = (manifest.num_classes,) * 2 + (manifest.feature_width, manifest.embedding_width)
    for name, width in zip(OUTPUTS, widths, strict=True):
        array = outputs[name]
        _same(f"output {name}", array.shape, (PROBE_ROWS, width))
        _same(f"output {name}", array.dtype, np.dtype(np.float32))


def _require_linear(bundle: Bundle, outputs: dict[str, NDArray[np.float32]]) -> None:
    """logits = W f + b, relative to their size."""
    head, features = bundle.head, outputs["features"].astype(np.float64)
    expected = features @ head.weight.T + head.bias
    off = np.abs(expected - outputs["logits"]).max()
    if not off <= TOLERANCE * (1.0 + np.abs(expected).max()):
        raise BundleCorrupt(
            f"head.npz is not the last layer of protectee.onnx: logits are off by {off:.2g}; "
            "refit the bundle"
        )


def _probe(bundle: Bundle) -> NDArray[Any]:
    signature = bundle.manifest.input
    dtype = DATATYPES.get(signature.datatype)
    if dtype is None:
        raise BundleCorrupt(f"expected a numeric input, the manifest says {signature.datatype}")
    shape = (PROBE_ROWS, *(max(extent, 1) for extent in signature.shape[1:]))
    noise = np.random.default_rng(0).random(shape)
    return noise.astype(dtype) if dtype.kind == "f" else (2 * noise).astype(dtype)


def _extents(manifest: Any, width: str) -> tuple[int, int]:
    return manifest.num_classes, getattr(manifest, width)


def _same(subject: str, got: object, expected: object) -> None:
    if got != expected:
        raise BundleCorrupt(f"{subject}: expected {expected}, got {got}; refit the bundle")
