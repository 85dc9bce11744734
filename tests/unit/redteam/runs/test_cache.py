"""The cache keeps things under a name that tells their content, and makes them once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from queen.redteam.runs import cache as cache_module
from queen.redteam.runs.cache import (
    Cache,
    answering_code,
    content_hash,
    identity_hash,
    weights_hash,
)


def test_a_folder_is_made_once(tmp_path: Path):
    """The second request for an identity finds the folder that the first made."""
    calls = []

    def make(draft: Path) -> None:
        calls.append(draft)
        (draft / "file").write_text("content")

    for _ in range(2):
        folder = Cache(tmp_path).folder("thing", {"seed": 1}, make)
        assert (folder / "file").read_text() == "content"
    assert len(calls) == 1


def test_a_failure_leaves_nothing(tmp_path: Path):
    """A folder whose making failed is made again, from the start."""

    def fail(draft: Path) -> None:
        (draft / "half").write_text("half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        Cache(tmp_path).folder("thing", {}, fail)
    folder = Cache(tmp_path).folder("thing", {}, lambda draft: (draft / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert not list(tmp_path.glob(".draft-*"))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"architecture": "other"},
        {"data": np.zeros(3, np.float64)},
        {"data": np.zeros((3, 1), np.float32)},
        {"data": np.array([0, 0, 1], np.float32)},
    ],
)
def test_every_part_of_an_identity_counts(change: dict[str, object]):
    """Seed, architecture, and type, shape and content of an array each change the name."""
    identity = {"seed": 1, "architecture": "one", "data": np.zeros(3, np.float32)}
    assert identity_hash(identity) == identity_hash(dict(reversed(identity.items())))
    assert identity_hash(identity) != identity_hash({**identity, **change})


def test_a_new_version_finds_nothing(monkeypatch: pytest.MonkeyPatch):
    """Counting the version up changes every name."""
    before = identity_hash({"seed": 1})
    monkeypatch.setattr(cache_module, "VERSION", cache_module.VERSION + 1)
    assert identity_hash({"seed": 1}) != before


def test_a_view_has_the_hash_of_its_copy():
    """Memory order is no content."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert content_hash(array.T) == content_hash(array.T.copy())
    assert content_hash(array.T) != content_hash(array.reshape(3, 2))


def test_a_network_comes_back_as_it_was_trained(tmp_path: Path):
    """The kept weights are bit for bit the trained ones, and training happens once."""
    torch.manual_seed(0)
    trained = [nn.Linear(3, 2)]
    first = Cache(tmp_path).network("copy", {"seed": 1}, nn.Linear(3, 2), trained.pop)
    second = Cache(tmp_path).network("copy", {"seed": 1}, nn.Linear(3, 2), trained.pop)
    assert weights_hash(first) == weights_hash(second)
    assert weights_hash(first) != weights_hash(nn.Linear(3, 2))


def test_arrays_come_back_by_name(tmp_path: Path):
    """Types and shapes survive, and nothing kept is pickled."""
    made = {"flags": np.array([True, False]), "answers": np.eye(2, dtype=np.float32)}
    for compute in (lambda: made, lambda: pytest.fail("computed twice")):
        arrays = Cache(tmp_path).arrays("pair", {}, compute)
        assert arrays["flags"].dtype == bool
        assert np.array_equal(arrays["answers"], made["answers"])


def test_the_code_of_an_answer_has_a_hash():
    """It is a digest of real files, the same within a process."""
    assert len(answering_code()) == 64
    assert answering_code() == answering_code()
