"""The operator's training set: read, checked and converted to the graph's type."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.errors import FitError

_ROWS = 4096
_HELD_OUT_SHARE = 10


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Inputs `x` (N, ...) in the graph's type and true labels `y` (N,) int64."""

    x: NDArray[Any]
    y: NDArray[np.int64]


def read_training_set(path: Path) -> TrainingSet:
    """Read `x` (N, ...) and `y` (N,) from an npz file, never by pickle.

    Raises FitError for a missing file, another format, lengths that differ,
    labels that are not integers, and NaN or infinite inputs.
    """
    arrays = _read_arrays(path)
    x, y = arrays["x"], arrays["y"]
    if x.dtype.kind not in "fiub":
        raise FitError(f"{path}: expected numbers in x, got {x.dtype}")
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise FitError(f"{path}: expected y int64 (N,), got {y.dtype} {y.shape}")
    if x.ndim < 2 or len(x) != len(y):
        raise FitError(
            f"{path}: expected x (N, ...) and y (N,) of one length, got {x.shape} and {y.shape}"
        )
    if not len(x):
        raise FitError(f"{path}: expected samples, got none")
    _require_finite(path, x)
    return TrainingSet(x, y.astype(np.int64))


def fit_to_input(
    samples: TrainingSet, name: str, dtype: np.dtype[Any], shape: Sequence[int | None]
) -> TrainingSet:
    """The training set with `x` as `dtype`, the type of the graph's input.

    `shape` is that of the input, without the batch; None stands for any extent. Raises FitError
    for samples of another shape, and for numbers that would change.
    """
    got = samples.x.shape[1:]
    fits = len(got) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, got, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if extent is None else str(extent) for extent in shape)
        raise FitError(
            f"x does not fit the graph's input {name!r}: expected (N, {expected}), got "
            f"{samples.x.shape}"
        )
    return TrainingSet(_cast(samples.x, dtype), samples.y)


def require_labels(labels: NDArray[np.int64], num_classes: int, class_names: Sequence[str]) -> None:
    """Require labels (N,) in 0..C-1 and two samples of every class; FitError names the class."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise FitError(
            f"expected labels in 0..{num_classes - 1}, as the head has {num_classes} outputs, "
            f"got {low}..{high}"
        )
    counts = np.bincount(labels, minlength=num_classes)
    for label in np.flatnonzero(counts < 2).tolist():
        raise FitError(
            f"class {label} ({class_names[label]}): expected at least 2 samples in the "
            f"training set, got {counts[label]}"
        )


def held_out_rows(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Marks (N,) of the samples that the mapping network does not train on: a tenth of a class.

    A class of fewer than 10 samples gives no sample; if all classes are so small, none is held out.
    """
    rng = np.random.default_rng([seed, 1])
    held = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held[members[: len(members) // _HELD_OUT_SHARE]] = True
    return held


def read_class_names(source: str | Sequence[str] | None, num_classes: int) -> list[str]:
    """C names from a file (one a line), a comma list or a sequence; default 0..C-1.

    Raises FitError for another number of names, an empty name or a name that stands twice.
    """
    if source is None:
        return [str(label) for label in range(num_classes)]
    names = [name.strip() for name in _split_names(source)]
    if len(names) != num_classes:
        raise FitError(f"expected {num_classes} class names, got {len(names)}")
    if not all(names) or len(set(names)) != len(names):
        raise FitError("expected class names that are not empty and differ from each other")
    return names


def _split_names(source: str | Sequence[str]) -> Sequence[str]:
    if not isinstance(source, str):
        return source
    try:
        if Path(source).is_file():
            return Path(source).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FitError(f"{source}: expected a text file with one class name a line") from error
    return source.split(",")


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        content = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise FitError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FitError(f"{path}: not an npz file of plain arrays (pickles are refused)") from error
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise FitError(f"{path}: expected an npz file with x and y, got a single array")
    with content:
        missing = [key for key in ("x", "y") if key not in content.files]
        if missing:
            raise FitError(
                f"{path}: expected arrays x and y, got {', '.join(content.files) or 'none'}"
            )
        try:
            return {key: content[key] for key in ("x", "y")}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise FitError(f"{path}: x and y must be plain arrays (pickles are refused)") from error


def _require_finite(path: Path, x: NDArray[Any]) -> None:
    if x.dtype.kind != "f":
        return
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            row = start + int(np.flatnonzero(~finite)[0])
            raise FitError(
                f"{path}: expected finite numbers in x, got NaN or infinity in row {row}"
            )


def _cast(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if x.dtype == dtype:
        return x
    result = np.empty(x.shape, dtype)
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        with np.errstate(all="ignore"):
            cast = rows.astype(dtype)
            back = cast.astype(rows.dtype)
        if not np.array_equal(back, rows):
            changed = int((back != rows).sum())
            raise FitError(
                f"x is {x.dtype}, the graph takes {dtype}, and {changed} of the first "
                f"{rows.size} numbers would change: save x as {dtype}"
            )
        result[start : start + _ROWS] = cast
    return result
