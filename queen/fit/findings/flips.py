"""The flip rate: how often the reversal changes a label. It measures the strength of shadows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from queen.method.answers.ensemble import ShadowEnsemble, ShadowNetwork
from queen.method.answers.gradient_reverse import gradient_reverse

_DRAWS = 5


def shadow_probabilities(
    shadows: Sequence[ShadowNetwork], inputs: NDArray[Any]
) -> NDArray[np.float64]:
    """Probabilities of `inputs` (B, ...) by every shadow model alone, (n, B, C)."""
    ensemble = ShadowEnsemble(shadows)
    rows = torch.from_numpy(inputs.astype(np.float32))
    alone = [np.full((len(inputs), 1), index) for index in range(ensemble.count)]
    return np.stack([ensemble.mean_probabilities(rows, members).numpy() for members in alone])


def flip_rates(
    shadow_answers: NDArray[np.float64],
    probabilities: NDArray[np.float32],
    drawn: Sequence[int],
    rng: np.random.Generator,
) -> dict[int, float]:
    """Share of reversed answers whose argmax differs from the protectee's, by K drawn.

    `shadow_answers` (n, B, C), `probabilities` p (B, C). The share for a K is the mean over 5
    draws, the same for all rows.
    """
    own = torch.from_numpy(probabilities.astype(np.float64))
    return {count: _flip_rate(shadow_answers, own, count, rng) for count in sorted(set(drawn))}


def _flip_rate(
    shadow_answers: NDArray[np.float64],
    probabilities: torch.Tensor,
    count: int,
    rng: np.random.Generator,
) -> float:
    labels = probabilities.argmax(dim=1)
    rates = []
    for _ in range(_DRAWS):
        members = rng.permutation(len(shadow_answers))[:count]
        mean = torch.from_numpy(shadow_answers[members].mean(axis=0))
        reversed_answers = gradient_reverse(probabilities, mean)
        rates.append(float((reversed_answers.argmax(dim=1) != labels).double().mean()))
    return float(np.mean(rates))
