from pathlib import Path
from typing import Any

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.training_set import (
    TrainingSet,
    fit_to_input,
    held_out_rows,
    read_class_names,
    read_training_set,
    require_labels,
)

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.array([0, 0, 1, 1, 2, 2])


def _write(folder: Path, **arrays: Any) -> Path:
    path = folder / "train.npz"
    np.savez(path, **arrays)
    return path


def test_a_training_set_comes_back_as_written(tmp_path: Path) -> None:
    """Labels of any integer type become int64."""
    samples = read_training_set(_write(tmp_path, x=X, y=Y.astype(np.uint8)))
    np.testing.assert_array_equal(samples.x, X)
    assert samples.y.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "expected arrays x and y, got x"),
        ({}, "expected arrays x and y, got none"),
        ({"x": X, "y": Y[:5]}, r"one length, got \(6, 2\) and \(5,\)"),
        ({"x": X, "y": Y.astype(np.float32)}, r"y int64 \(N,\), got float32"),
        ({"x": X, "y": np.eye(6, dtype=int)}, r"y int64 \(N,\), got int64 \(6, 6\)"),
        ({"x": X[:, 0], "y": Y}, r"x \(N, ...\)"),
        ({"x": X[:0], "y": Y[:0]}, "got none"),
        ({"x": X.astype(str), "y": Y}, "numbers in x"),
        ({"x": np.where(X == 7, np.nan, X), "y": Y}, "NaN or infinity in row 3"),
        ({"x": np.where(X == 8, np.inf, X), "y": Y}, "NaN or infinity in row 4"),
        ({"x": X.astype(object), "y": Y}, "pickles are refused"),
    ],
)
def test_a_file_that_is_no_training_set_is_refused(
    tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    """Each mistake in the npz file has its own sentence."""
    with pytest.raises(FitError, match=words):
        read_training_set(_write(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\x80\x04K\x01.", b"PK\x03\x04junk"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A table, a pickle and a broken archive are not npz files."""
    path = tmp_path / "train.npz"
    path.write_bytes(content)
    with pytest.raises(FitError, match="not an npz file"):
        read_training_set(path)


def test_a_single_array_and_no_file_are_refused(tmp_path: Path) -> None:
    """An npy file has no names, and a missing file is called missing."""
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(FitError, match="single array"):
        read_training_set(tmp_path / "x.npy")
    with pytest.raises(FitError, match="no such file"):
        read_training_set(tmp_path / "y.npz")


@pytest.mark.parametrize(
    ("have", "want"),
    [(np.float64, np.float32), (np.uint8, np.float16), (np.int64, np.uint8), (bool, np.float32)],
)
def test_numbers_are_cast_where_none_changes(have: type, want: type) -> None:
    """Small whole numbers fit every type."""
    samples = TrainingSet((X % 2).astype(have), Y)
    cast = fit_to_input(samples, "x", np.dtype(want), (2,)).x
    assert cast.dtype == want
    np.testing.assert_array_equal(cast, X % 2)


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (X.astype(np.float64) / 3, np.float32),
        (X + 0.5, np.int64),
        (X - 1, np.uint8),
        (np.full((6, 2), 2**53 + 1), np.float64),
        (X * 1e6, np.float16),
    ],
)
def test_numbers_that_a_cast_would_change_are_refused(x: np.ndarray, want: type) -> None:
    """The owner is told which type to save."""
    with pytest.raises(FitError, match=f"save x as {np.dtype(want)}"):
        fit_to_input(TrainingSet(x, Y), "x", np.dtype(want), (2,))


@pytest.mark.parametrize("shape", [(3,), (2, 1), (None, None)])
def test_a_shape_that_does_not_fit_is_refused(shape: tuple[int | None, ...]) -> None:
    """Expected and got are both in the sentence."""
    with pytest.raises(FitError, match=r"input 'image': expected \(N, .*got \(6, 2\)"):
        fit_to_input(TrainingSet(X, Y), "image", np.dtype(np.float32), shape)


def test_an_open_extent_takes_any(tmp_path: Path) -> None:
    """Where the graph leaves an extent open the training set decides."""
    assert fit_to_input(TrainingSet(X, Y), "x", np.dtype(np.float32), (None,)).x is X


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 0, 1, 1, 3, 3], r"labels in 0\.\.2.*got 0\.\.3"),
        ([-1, 0, 0, 1, 2, 2], r"got -1\.\.2"),
        ([0, 0, 1, 1, 1, 1], r"class 2 \(cat\): expected at least 2 samples.*got 0"),
        ([0, 0, 0, 1, 2, 2], r"class 1 \(dog\): expected at least 2 samples.*got 1"),
    ],
)
def test_labels_that_leave_a_class_unprotected_are_refused(labels: list[int], words: str) -> None:
    """A class with fewer than two samples is named, and so is a label out of range."""
    with pytest.raises(FitError, match=words):
        require_labels(np.array(labels), 3, ["ant", "dog", "cat"])


def test_class_names_come_from_a_file_a_list_or_nowhere(tmp_path: Path) -> None:
    """All three give C names."""
    file = tmp_path / "names.txt"
    file.write_text("ant\ndog\ncat\n")
    assert read_class_names(str(file), 3) == ["ant", "dog", "cat"]
    assert read_class_names("ant, dog,cat", 3) == ["ant", "dog", "cat"]
    assert read_class_names(["ant", "dog", "cat"], 3) == ["ant", "dog", "cat"]
    assert read_class_names(None, 3) == ["0", "1", "2"]


@pytest.mark.parametrize("names", ["a,b", "a,,c", "a,b,a"])
def test_class_names_that_do_not_fit_are_refused(names: str) -> None:
    """Too few, an empty one and one twice."""
    with pytest.raises(FitError, match="class names"):
        read_class_names(names, 3)


def test_a_tenth_of_every_class_is_held_out() -> None:
    """A class that is too small gives none of its samples away."""
    labels = np.repeat([0, 1, 2], [50, 19, 9])
    held = held_out_rows(labels, seed=0)
    assert np.bincount(labels[held], minlength=3).tolist() == [5, 1, 0]
    np.testing.assert_array_equal(held, held_out_rows(labels, seed=0))
