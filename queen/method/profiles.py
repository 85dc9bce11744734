"""Answers to REVERSE verdicts, profile by profile (Torch, batched)."""

from __future__ import annotations

import torch
from torch import Tensor

from queen.method.contracts import SAFE_L1, SAFE_MARGIN
from queen.method.gradient_reverse import gradient_reverse

# Rounding to float32 and the sums of an L1 distance must not break the contract.
_SLACK = 1e-4


def paper_answer(probabilities: Tensor, shadow_mean: Tensor) -> Tensor:
    """`paper`: the gradient reverse as published, (B, C), (B, C) -> (B, C)."""
    return gradient_reverse(probabilities, shadow_mean)


def safe_answer(probabilities: Tensor, shadow_mean: Tensor) -> Tensor:
    """`safe`: the reversal among answers that keep the label, (B, C), (B, C) -> (B, C).

    The reversed answer is projected on {s_y >= s_j + margin}, then drawn toward the
    protectee's own answer until ||s - p||_1 <= 1. Both ends of that segment keep the
    label with the margin, so every point between does. A softmax in float32 or in half
    precision sums to 1 only roughly, and the answers must do better.
    """
    labels = probabilities.argmax(dim=1)
    reversed_answer = keep_argmax(gradient_reverse(probabilities, shadow_mean), labels)
    start = keep_argmax(probabilities / probabilities.sum(dim=1, keepdim=True), labels)
    # ||start + k (end - start) - p|| <= ||start - p|| + k ||end - start||
    room = (SAFE_L1 - _SLACK) - (start - probabilities).abs().sum(dim=1)
    length = (reversed_answer - start).abs().sum(dim=1)
    share = (room / length.clamp_min(1e-12)).clamp(0.0, 1.0)
    return start + share[:, None] * (reversed_answer - start)


def keep_argmax(answers: Tensor, labels: Tensor, margin: float = SAFE_MARGIN + _SLACK) -> Tensor:
    """Lower every other class to a common cap v until class y leads by `margin`, (B, C).

    a_y = v + margin, a_j = min(s_j, v), with v such that the row sums to 1; rows in
    which y leads by the margin already come back unchanged. `labels` y (B,).
    """
    index = labels[:, None]
    others = answers.scatter(1, index, 0.0)
    ordered = others.sort(dim=1, descending=True).values[:, :-1]
    # v if the k largest others are capped, for every k at once.
    capped = torch.arange(1, ordered.shape[1] + 1, dtype=answers.dtype, device=answers.device)
    below = ordered.sum(dim=1, keepdim=True) - ordered.cumsum(dim=1)
    caps = (1.0 - margin - below) / (capped + 1.0)
    reaches = torch.cat([ordered[:, 1:], torch.zeros_like(ordered[:, :1])], dim=1) <= caps
    first = reaches.to(torch.int8).argmax(dim=1, keepdim=True)
    cap = caps.gather(1, first)
    projected = others.minimum(cap).scatter(1, index, cap + margin)
    leads = answers.gather(1, index) - ordered[:, :1] >= margin
    return torch.where(leads, answers, projected)
