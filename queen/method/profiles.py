"""The answer of the profile `paper` to a REVERSE verdict (Torch, batched)."""

from __future__ import annotations

from torch import Tensor

from queen.method.gradient_reverse import gradient_reverse

TAIL = 1e-3
"""Share of the shadow mean in an answer. A softmax is never 0 and the gradient reverse often
is: without the tail, an exact 0.0 would name the verdict."""
LEAST = 1e-30
"""Least share of a class in the tail: a softmax, too, is 0 where it underflows. No larger, since
the same small number in several classes would name the verdict as well."""


def paper_answer(probabilities: Tensor, shadow_mean: Tensor) -> Tensor:
    """`paper`: the gradient reverse as published, with the shadows' own tail, (B, C) -> (B, C)."""
    reversed_answer = gradient_reverse(probabilities, shadow_mean)
    tail = shadow_mean.clamp_min(LEAST)
    tail = tail / tail.sum(dim=1, keepdim=True)
    return (1.0 - TAIL) * reversed_answer + TAIL * tail
