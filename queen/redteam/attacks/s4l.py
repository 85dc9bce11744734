"""S4L: learn the answers, and learn from unanswered images to tell how they are rotated.

Zhai, Oliver, Kolesnikov, Beyer, "S4L: Self-Supervised Semi-Supervised Learning" (ICCV 2019).

Shapes: Q queries, N images, C classes, D feature width.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Attack, Thief, ask_stream
from queen.redteam.datasets import Images
from queen.redteam.networks import build_network, predict, set_memory_format, training_device
from queen.redteam.targets.base import Answers, MeteredTarget

_BATCH = 64
STEPS = 600
_FEWEST_EPOCHS = {"digits": 30, "cifar10": 20}
_RATE = 2e-3
_WIDTH = 0.5


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Soft cross entropy on the answers, and the rotation loss on the whole pool."""
    queries, answers = ask_stream(target, thief)
    return train_with_rotations(thief.dataset, queries, answers, thief.pool, seed=thief.seed)


def train_with_rotations(
    dataset: str, queries: Images, answers: Answers, pool: Images, *, seed: int
) -> nn.Module:
    """A network of half width, trained on `answers` (Q, C) to `queries` (Q, ...) and on `pool`.

    The rotation head sits on the penultimate layer and is thrown away. As for any piracy
    model, a tenth of the answers picks the epoch, and few answers still get 600 steps.
    """
    torch.manual_seed(seed)
    device = training_device(dataset)
    order = np.random.default_rng(seed).permutation(len(queries))
    held, kept = order[: len(order) // 10], order[len(order) // 10 :]
    x, t, free = (torch.from_numpy(a).to(device) for a in (queries[kept], answers[kept], pool))
    network = build_network(dataset, _WIDTH).to(device)
    if queries.ndim == 4:
        # As in train_network: kernels are faster on images whose channels come last.
        set_memory_format(network, torch.channels_last)
    learner = _Learner(network, epochs_for(dataset, len(kept)), seed)
    best, best_score = network.state_dict(), -math.inf
    for _ in range(learner.epochs):
        learner.learn_epoch(x, t, free)
        score = _agreement(network, queries[held], answers[held])
        if score >= best_score:
            best_score = score
            best = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best)
    return network.to("cpu")


def epochs_for(dataset: str, count: int) -> int:
    """Epochs that make at least 600 steps of `count` queries, and 6, or more on some sets."""
    fewest = _FEWEST_EPOCHS.get(dataset, 6)
    return max(fewest, math.ceil(STEPS / math.ceil(count / _BATCH)))


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, ...) after 0, 1, 2 and 3 quarter turns, (4N, ...), and the number of turns, (4N,).

    Rows of a flat (N, D) are square images of one channel.
    """
    side = math.isqrt(images[0].numel())
    grid = images if images.ndim == 4 else images.reshape(-1, side, side)
    turns = torch.cat([torch.rot90(grid, quarter, (-2, -1)) for quarter in range(4)])
    quarters = torch.arange(4, device=images.device).repeat_interleave(len(images))
    return turns.reshape(-1, *images.shape[1:]), quarters


class _Learner:
    """A network and its rotation head under one optimizer."""

    def __init__(self, network: nn.Sequential, epochs: int, seed: int) -> None:
        self.epochs = epochs
        self._generator = torch.Generator().manual_seed(seed)
        self._body, self._head = network[:-1], cast(nn.Linear, network[-1])
        self._rotation_head = nn.Linear(self._head.in_features, 4).to(self._head.weight.device)
        weights = [*network.parameters(), *self._rotation_head.parameters()]
        self._optimizer = torch.optim.Adam(weights, lr=_RATE, fused=True)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, epochs)

    def learn_epoch(self, queries: Tensor, answers: Tensor, pool: Tensor) -> None:
        """Every query once, beside as many turned images of the pool."""
        for rows in torch.split(torch.randperm(len(queries), generator=self._generator), _BATCH):
            drawn = torch.randint(len(pool), (_BATCH // 4,), generator=self._generator)
            self._step(queries[rows], answers[rows], pool[drawn])
        self._schedule.step()

    def _step(self, queries: Tensor, answers: Tensor, unlabeled: Tensor) -> None:
        rotated, quarters = turned(unlabeled)
        images = torch.cat([queries, rotated])
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        features = self._body(images)
        asked, free = features[: len(queries)], features[len(queries) :]
        loss = cross_entropy(self._head(asked), answers)
        loss += cross_entropy(self._rotation_head(free), quarters)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()


def _agreement(network: nn.Module, queries: Images, answers: Answers) -> float:
    if not len(queries):
        return 0.0
    return float((predict(network, queries) == answers.argmax(axis=1)).mean())


ATTACK = Attack("s4l", "learn rotations of unlabeled images as well", steal)
