"""ModelGuard-S: answers quantized to a small codebook for each label."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.simplex import (
    FloatArray,
    as_answers,
    drawn_within,
    l1_room,
    on_simplex,
    one_hot,
    with_lead,
)
from queen.redteam.targets.base import Answers

_L1 = 1.0
_LLOYD_STEPS = 100
_TOLERANCE = 1e-3

Codebooks = tuple[FloatArray, ...]
"""Ordered codewords (M, C) for each label, as many as there are classes."""


def fit_codebooks(probabilities: Answers, l1: float = _L1) -> Codebooks:
    """Incremental k-means of the answers (N, C) of each label.

    One codeword, the mean, to begin with; then the answer that is farthest from all of
    them is added and Lloyd's steps are repeated, until every answer is within `l1` of
    its codeword. A label without answers has itself for a codeword.
    """
    rows, labels = on_simplex(probabilities), probabilities.argmax(axis=1)
    own = one_hot(np.arange(rows.shape[1]), rows.shape[1])
    return tuple(
        _codewords(rows[labels == label], l1) if (labels == label).any() else own[[label]]
        for label in range(rows.shape[1])
    )


def quantize(probabilities: Answers, codebooks: Codebooks, l1: float = _L1) -> Answers:
    """The first codeword of the label within `l1` of y, (B, C) -> (B, C).

    Tang et al., "ModelGuard: Information-Theoretic Defense Against Model Extraction
    Attacks", USENIX Security 2024, ModelGuard-S with an ordered codebook: the first codeword that
    is near enough and not the nearest, so that many y share an answer and a codeword that is added
    later changes no answer. The published codebook grows with the queries; here it is fitted once,
    so that no query changes another's answer, and a y that no codeword covers is drawn toward the
    nearest codeword as far as `l1` goes. A codeword is a mean of answers with the label, so it
    keeps it.
    """
    start, labels = on_simplex(probabilities), probabilities.argmax(axis=1)
    answers = np.empty_like(start)
    for label, codewords in enumerate(codebooks):
        rows = np.flatnonzero(labels == label)
        distances = _distances(start[rows], codewords)
        is_near = distances <= l1_room(l1)
        chosen = np.where(is_near.any(axis=1), is_near.argmax(axis=1), distances.argmin(axis=1))
        answers[rows] = drawn_within(codewords[chosen], start[rows], l1_room(l1))
    return as_answers(with_lead(answers, labels))


def _codewords(rows: FloatArray, l1: float) -> FloatArray:
    codewords: FloatArray = rows.mean(axis=0, keepdims=True)
    for _ in range(len(rows)):
        codewords = _lloyd(rows, codewords)
        nearest = _distances(rows, codewords).min(axis=1)
        if nearest.max() <= l1_room(l1):
            break
        codewords = np.concatenate([codewords, rows[[nearest.argmax()]]])
    return codewords


def _lloyd(rows: FloatArray, codewords: FloatArray) -> FloatArray:
    """Codewords (M, C) moved to the means of the rows (N, C) nearest in L1; unused codewords go."""
    for _ in range(_LLOYD_STEPS):
        owner = _distances(rows, codewords).argmin(axis=1)
        used = np.unique(owner)
        before = codewords[used]
        codewords = np.stack([rows[owner == index].mean(axis=0) for index in used])
        if np.abs(codewords - before).max() < _TOLERANCE:
            break
    return codewords


def _distances(rows: FloatArray, codewords: FloatArray) -> FloatArray:
    """L1 distances, (B, C), (M, C) -> (B, M)."""
    columns = [np.abs(rows - codeword).sum(axis=1) for codeword in codewords]
    distances: FloatArray = np.stack(columns, axis=1)
    return distances


def _prepare(training: Training, _seed: int) -> Answer:
    codebooks = fit_codebooks(training.probabilities)

    def answer(asked: Asked) -> Answers:
        return quantize(asked.probabilities, codebooks)

    return answer


DEFENSE = Defense(
    "modelguard-s", "a codeword of the label within L1 1, label kept", _prepare, strength=_L1
)
