"""Gradient reverse in closed form, the answer of the profile `paper` (Torch, any device).

A piracy model with output q, trained by cross entropy on the label p, has the logit
gradient q - p. Trained on t = 2q - p instead it has q - t = -(q - p): it unlearns.
"""

from __future__ import annotations

import torch
from torch import Tensor

TAIL = 1e-3
"""Share of the shadow mean in an answer. A softmax is never 0 and the gradient reverse often
is: without the tail, an exact 0.0 would reveal the verdict."""
LEAST = 1e-30
"""Least share of a class in the tail: a softmax, too, is 0 where it underflows. No larger, since
the same small number in several classes would reveal the verdict as well."""


def reverse_target(probabilities: Tensor, shadow_mean: Tensor) -> Tensor:
    """t = 2q - p: `probabilities` p (B, C), `shadow_mean` q (B, C) -> (B, C).

    q is the mean SOFTMAX of the drawn shadows: a mean of logits is on another scale,
    and the reversed target it gives hardly ever changes a label.
    """
    return 2.0 * shadow_mean - probabilities


def closest_simplex_point(target: Tensor) -> Tensor:
    """The simplex point s with the largest cosine to t: relu(t) / sum relu(t), (B, C).

    Over the non-negative cone the cosine is largest at the projection; where every
    t_i <= 0 that is the origin, and the best point is the corner at argmax t.
    A NaN stays a NaN, for the contract check to refuse.
    """
    positive = target.clamp_min(0)
    total = positive.sum(dim=1, keepdim=True)
    corner = torch.zeros_like(target).scatter_(1, target.argmax(dim=1, keepdim=True), 1.0)
    return torch.where(total == 0, corner, positive / total)


def gradient_reverse(probabilities: Tensor, shadow_mean: Tensor) -> Tensor:
    """The answer to a REVERSE verdict: the simplex point nearest in angle to 2q - p.

    `probabilities` p (B, C) and `shadow_mean` q (B, C) on the simplex -> (B, C) on it.
    """
    return closest_simplex_point(reverse_target(probabilities, shadow_mean))


def paper_answer(probabilities: Tensor, shadow_mean: Tensor) -> Tensor:
    """`paper`: the gradient reverse as published, with the shadows' own tail, (B, C) -> (B, C)."""
    reversed_answer = gradient_reverse(probabilities, shadow_mean)
    tail = shadow_mean.clamp_min(LEAST)
    tail = tail / tail.sum(dim=1, keepdim=True)
    return (1.0 - TAIL) * reversed_answer + TAIL * tail
