"""Checks of a bundle: those that a service makes when it loads the bundle, and some more.

Reading a part checks its type, its shape and its numbers (`queen.bundle.reader`); a check here
reads the part and adds what can only be told by using it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from queen.bundle import Bundle, open_bundle
from queen.cli.check.finding import Finding, examine
from queen.errors import BundleCorrupt, QueenError
from queen.method.answers.decoy import sketch_width
from queen.method.sensitivity import largest_budget


def check_bundle(path: Path) -> Iterator[Finding]:
    """Run every check in turn; only the first if the manifest and the digests do not agree."""
    subject = "manifest and digests"
    try:
        bundle = open_bundle(path)
    except QueenError as error:
        yield Finding(subject, str(error))
        return
    yield Finding(subject, None)
    for part, check in _CHECKS.items():
        yield examine(part, partial(check, bundle))


def _check_regions(bundle: Bundle) -> str:
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    if largest < 1:
        raise BundleCorrupt("the regions have no room for one record; fit a smaller coverage")
    return f"budgets up to {largest}"


def _check_head(bundle: Bundle) -> str:
    _ = bundle.head
    return ""


def _check_shadows(bundle: Bundle) -> str:
    count = bundle.manifest.shadows.count
    for index in range(count):
        if not all(np.isfinite(tensor).all() for tensor in bundle.shadow(index).values()):
            raise BundleCorrupt(f"shadow {index}: its weights are not finite; refit the bundle")
    if importlib.util.find_spec("torch") is None:
        return f"{count} read; not built, Torch is not installed"
    # These modules import Torch.
    from queen_perturber.shadows import choose_device, load_shadows  # noqa: PLC0415 - loads Torch

    load_shadows(bundle, choose_device("cpu"))
    return f"{count} built"


def _check_decoy(bundle: Bundle) -> str:
    """Check that the decoy's frame fits sketches of the input that the manifest states."""
    shape = tuple(max(extent, 1) for extent in bundle.manifest.input.shape[1:])
    expected, got = sketch_width(shape), len(bundle.sketch_space.mean)
    if got != expected:
        raise BundleCorrupt(f"sketch width: expected {expected}, got {got}; refit the bundle")
    return ""


def _check_meter(bundle: Bundle) -> str:
    flags = bundle.manifest.meter.false_flags
    return f"limit {bundle.meter.limit:.2f}, at most {max(flags.values(), default=0):.2%} of flags"


def _check_protectee(bundle: Bundle) -> str:
    if importlib.util.find_spec("onnxruntime") is None:
        return "not run, ONNX Runtime is not installed"
    # The module imports ONNX Runtime.
    from queen.cli.check.protectee_check import check_protectee  # noqa: PLC0415

    return check_protectee(bundle)


_CHECKS: Mapping[str, Callable[[Bundle], str]] = {
    "regions": _check_regions,
    "head": _check_head,
    "shadows": _check_shadows,
    "decoy": _check_decoy,
    "meter": _check_meter,
    "protectee": _check_protectee,
}
