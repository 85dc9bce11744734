"""Reads labels from answers with decoders, and keeps the readings.

Shapes: N queries, C classes, M test rows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from queen.redteam.leak import decoders
from queen.redteam.leak.decoders import DECODERS, Labels, Parts, Reading, clues_of, read_labels
from queen.redteam.runs.cache import Cache
from queen.redteam.targets.base import Answers


class Reader:
    """Reads the `labels` (N,) of the rows in `parts`, from whatever answers are shown to it."""

    def __init__(self, kept: Cache, labels: Labels, parts: Parts, num_classes: int) -> None:
        self._kept = kept
        self._labels = labels
        self._parts = parts
        self._num_classes = num_classes

    def read(self, answers: Answers, belief: Answers | None, seed: int) -> Reading:
        """The reading of answers (N, C), with the thief's `belief` (N, C) or without it.

        The same answers are read once: a run that was stopped goes on where it ended.
        """
        rows = np.concatenate([self._parts.training, self._parts.validation, self._parts.test])
        identity = {
            "answers": answers[rows],
            "belief": None if belief is None else belief[rows],
            "labels": self._labels[rows],
            "training": len(self._parts.training),
            "test": len(self._parts.test),
            "seed": seed,
            "code": _decoding_code(),
        }
        arrays = self._kept.arrays("reading", identity, lambda: self._decode(answers, belief, seed))
        is_right: NDArray[np.bool_] = arrays["is_right"].astype(np.bool_)
        return Reading(list(DECODERS)[int(arrays["decoder"])], is_right)

    def _decode(
        self, answers: Answers, belief: Answers | None, seed: int
    ) -> dict[str, NDArray[np.generic]]:
        # Rows without an answer are in no part, and their numbers are no clues.
        clues = clues_of(np.nan_to_num(answers), belief)
        reading = read_labels(clues, self._labels, self._parts, self._num_classes, seed)
        decoder = np.int64(list(DECODERS).index(reading.decoder))
        return {"decoder": np.asarray(decoder), "is_right": reading.is_right}


@cache
def _decoding_code() -> str:
    """The source that decides a reading."""
    return Path(decoders.__file__).read_text()
