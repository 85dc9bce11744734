"""Adaptive misinformation: queries that look foreign are answered by a model that lies."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from queen.redteam.datasets import Images, Labels
from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.simplex import FloatArray, as_answers, on_simplex
from queen.redteam.defenses.parts.surrogates import class_probabilities, random_network
from queen.redteam.targets.base import Answers

_NU = 1000.0
_SHARE = 0.05
_SHARES = (0.2,)
_BATCH = 64
_LEAST_STEPS = 300


def blend(probabilities: Answers, lies: FloatArray, threshold: float) -> Answers:
    """y' = (1 - alpha) y + alpha f_lie(x), alpha = sigmoid(nu (tau - max y)), (B, C).

    Kariyappa and Qureshi, "Defending Against Model Stealing Attacks with Adaptive
    Misinformation", CVPR 2020; nu 1000. `lies` (B, C), `threshold` tau.
    """
    start = on_simplex(probabilities)
    confidence = start.max(axis=1, keepdims=True)
    # The sigmoid as a tanh, which has no exponent that overflows.
    alpha = 0.5 * (1.0 + np.tanh(0.5 * _NU * (threshold - confidence)))
    return as_answers((1.0 - alpha) * start + alpha * lies)


def threshold_for(probabilities: Answers, share: float) -> float:
    """The tau at which `share` of these answers (N, C) are more lie than truth.

    On the protectee's own training set, of which it is surer than of anything else: more
    than `share` of honest queries will be perturbed.
    """
    return float(np.quantile(on_simplex(probabilities).max(axis=1), share))


def reversed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log(1 - q_y), the mean over a batch: (B, C), (B,) -> ().

    log(1 - q_y) is the log-sum-exp of all other logits less that of all logits.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (logits.logsumexp(dim=1) - others.logsumexp(dim=1)).mean()


def train_misinformation_model(
    dataset: str, inputs: Images, labels: Labels, seed: int
) -> nn.Module:
    """A network that avoids the label, from inputs (N, ...) and labels (N,); float64."""
    network = random_network(dataset, seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    for _ in range(math.ceil(_LEAST_STEPS * _BATCH / len(x))):
        for rows in torch.split(torch.randperm(len(x), generator=generator), _BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(reversed_cross_entropy(network(x[rows]), y[rows]))
            optimizer.step()
    return network.double()


def _at_share(share: float) -> Callable[[Training, int], Answer]:
    def prepare(training: Training, seed: int) -> Answer:
        network = train_misinformation_model(
            training.dataset, training.inputs, training.labels, seed
        )
        threshold = threshold_for(training.probabilities, share)

        def answer(asked: Asked) -> Answers:
            lies = class_probabilities(network, asked.inputs)
            return blend(asked.probabilities, lies, threshold)

        return answer

    return prepare


def _summary(share: float) -> str:
    return f"a lying model answers queries less sure than {share:.0%} of the training set"


DEFENSE = Defense("adaptive-misinformation", _summary(_SHARE), _at_share(_SHARE), strength=_SHARE)
STRONGER = tuple(
    Defense(f"adaptive-misinformation-{share}", _summary(share), _at_share(share), strength=share)
    for share in _SHARES
)
