"""Samples from a file of NumPy arrays: the rows that --rows selects."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.errors import InvalidQuery

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a file: their rows (B,), inputs (B, ...), and labels (B,) if it has them."""

    rows: NDArray[np.int64]
    inputs: Array
    labels: Array | None


def read_samples(path: Path, rows: str) -> Samples:
    """Rows of an .npy, or of an .npz with `x` (N, ...) and perhaps `y` (N,).

    Raises InvalidQuery for a file of another kind and for rows that it does not have.
    """
    inputs, labels = _read(path)
    if inputs.ndim == 0 or inputs.dtype.kind not in "biuf":
        raise InvalidQuery(
            f"{path}: expected an array of numbers with one row a sample, "
            f"got shape {inputs.shape} of {inputs.dtype}"
        )
    selected = select_rows(rows, len(inputs))
    known = labels[selected] if labels is not None and len(labels) == len(inputs) else None
    return Samples(selected, inputs[selected], known)


def select_rows(text: str, count: int) -> NDArray[np.int64]:
    """Indices (B,) of "0:8", ":8", "-3:", "0:100:10", "5", "1,4,9" or "all" in `count` rows."""
    everything = np.arange(count)
    try:
        parts = [
            everything[_slice(part)] if ":" in part else everything[[int(part)]]
            for part in ("0:" if text == "all" else text).split(",")
        ]
    except ValueError as error:
        raise InvalidQuery(f"expected --rows like 0:8, 5, 1,4,9 or all, got '{text}'") from error
    except IndexError as error:
        raise InvalidQuery(
            f"--rows {text}: expected rows of 0 to {count - 1}, got others"
        ) from error
    selected = np.concatenate(parts)
    if not len(selected):
        raise InvalidQuery(f"--rows {text}: expected at least 1 of the {count} rows, got none")
    return selected


def _slice(text: str) -> slice:
    ends = [int(end) if end else None for end in text.split(":")]
    if len(ends) > 3:
        raise ValueError(text)
    return slice(*ends)


def _read(path: Path) -> tuple[Array, Array | None]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded as archive:
            name = _input_name(path, archive.files)
            return archive[name], archive["y"] if "y" in archive.files else None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidQuery(
            f"{path}: expected a NumPy file, .npy or .npz, of plain numbers, got something else"
        ) from error


def _input_name(path: Path, names: list[str]) -> str:
    if "x" in names:
        return "x"
    if len(names) == 1:
        return names[0]
    raise InvalidQuery(f"{path}: expected an array `x`, got {', '.join(names) or 'none'}")
