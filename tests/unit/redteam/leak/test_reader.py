"""Readings are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.redteam.leak.decoders import DECODERS, Known, Predict, divide_rows
from queen.redteam.leak.reader import Reader
from queen.redteam.runs.cache import Cache


def test_the_same_answers_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed, another belief or other answers are read anew; rows in no part do not count."""
    fits: list[int] = []
    comparison = DECODERS["comparison"]

    def fit(known: Known) -> Predict:
        fits.append(known.seed)
        return comparison(known)

    for name in list(DECODERS):
        monkeypatch.setitem(DECODERS, name, fit)
    answers = np.random.default_rng(0).dirichlet(np.ones(3), 60).astype(np.float32)
    answers[50:] = np.nan
    labels = np.nan_to_num(answers).argmax(axis=1)
    parts = divide_rows(np.arange(50), np.random.default_rng(0))
    reader = Reader(Cache(tmp_path), labels, parts, 3)
    first = reader.read(answers, None, seed=4)
    assert first.is_right.shape == (25,)
    assert first.is_right.all()
    again = reader.read(answers, None, seed=4)
    np.testing.assert_array_equal(again.is_right, first.is_right)
    assert again.decoder == first.decoder
    assert fits == [4] * len(DECODERS)
    reader.read(answers, None, seed=5)
    reader.read(answers, np.nan_to_num(answers), seed=4)
    assert len(fits) == 3 * len(DECODERS)
