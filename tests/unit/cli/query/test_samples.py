"""Samples and the rows of them that are selected."""

import numpy as np
import pytest

from queen.cli.query.samples import read_samples, select_rows
from queen.errors import InvalidQuery


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:3", [0, 1, 2]),
        (":2", [0, 1]),
        ("-2:", [8, 9]),
        ("0:10:4", [0, 4, 8]),
        ("5", [5]),
        ("1,4,9", [1, 4, 9]),
        ("all", list(range(10))),
    ],
)
def test_rows_are_picked(text, expected):
    """Every documented form of --rows selects its rows."""
    assert select_rows(text, 10).tolist() == expected


@pytest.mark.parametrize("text", ["", "a", "10", "20:30", "1:2:3:4"])
def test_rows_that_are_not_there_are_refused(text):
    """Rows that cannot be read, or that the file does not have, are a sentence."""
    with pytest.raises(InvalidQuery, match="rows"):
        select_rows(text, 10)


def test_npz_gives_inputs_and_labels(tmp_path):
    """x and y of an npz are cut to the same rows."""
    np.savez(tmp_path / "a.npz", x=np.arange(12.0).reshape(6, 2), y=np.arange(6))
    samples = read_samples(tmp_path / "a.npz", "2:4")
    assert samples.inputs.tolist() == [[4, 5], [6, 7]]
    assert samples.labels is not None
    assert samples.labels.tolist() == samples.rows.tolist() == [2, 3]


@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04broken"])
def test_other_files_are_refused(tmp_path, content):
    """A file that is not NumPy's is a sentence that names it."""
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(InvalidQuery, match=r"x\.npz: expected a NumPy file"):
        read_samples(tmp_path / "x.npz", "all")


def test_pickled_objects_are_never_loaded(tmp_path):
    """An array of objects would need pickle, so it is refused."""
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidQuery, match="plain numbers"):
        read_samples(tmp_path / "x.npy", "all")
