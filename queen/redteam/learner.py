"""The thief's learner: copies trained on augmented inputs, as long as they gain.

The weights that are kept are a running mean of those of the steps. A tenth of the answers is the
thief's own validation split: it says when the mean has stopped to gain, and which mean was the
best. The protectee's test set is never used.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.augmentation import augmentation_for
from queen.redteam.datasets import Images
from queen.redteam.networks import (
    build_network,
    set_memory_format,
    training_device,
    with_channels_last,
)

LEARNER = 1
"""A version, increased when copies are trained in another way: no older copy is used again."""
_SPAN = 9
"""The running mean of the weights spans about the last ninth of the steps."""
_BATCH = 512


@dataclass(frozen=True)
class Effort:
    """How long a copy trains: checked every `check` steps, at most `most` of them.

    Training ends after `patience` checks without a gain. A step is one of Adam at `rate` on
    `batch` answers.
    """

    check: int
    patience: int
    most: int
    rate: float = 4e-3
    batch: int = 64


EFFORTS = {
    "digits": Effort(check=100, patience=2, most=600),
    "cifar10": Effort(check=500, patience=3, most=5_000),
}
"""Efforts of the data sets that need other ones than `USUAL_EFFORT`."""
USUAL_EFFORT = Effort(check=500, patience=2, most=3_000)


@dataclass(frozen=True, eq=False)
class Lesson:
    """A network to train, by the loss of random batches.

    `draw_loss` gives the loss of the next batch. `score` judges a mean of the weights, larger is
    better. `extra` are weights that are trained as well and thrown away.
    """

    network: nn.Module
    draw_loss: Callable[[], Tensor]
    score: Callable[[nn.Module], float]
    extra: Iterable[nn.Parameter] = ()


def learn(lesson: Lesson, effort: Effort) -> nn.Module:
    """The lesson's network with the mean of weights that scored best, on the CPU."""
    mean, best, best_score, gained_at = copy.deepcopy(lesson.network), lesson.network, -math.inf, 0
    means: list[Tensor] = list(mean.parameters())
    weights: list[Tensor] = list(lesson.network.parameters())
    optimizer = torch.optim.Adam([*weights, *lesson.extra], lr=effort.rate, fused=True)
    for step in range(1, effort.most + 1):
        optimizer.zero_grad()
        torch.autograd.backward(lesson.draw_loss())
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(means, weights, _SPAN / (_SPAN + step))
        if step % effort.check and step < effort.most:
            continue
        # The later of two equals has trained longer, and without a split all are equal.
        if (score := lesson.score(mean)) >= best_score:
            best, best_score, gained_at = copy.deepcopy(mean), score, step
        elif step - gained_at >= effort.patience * effort.check:
            break
    return best.to("cpu")


class Examples:
    """Queries (Q, ...) and their answers (Q, C), on the device on which a data set trains."""

    def __init__(self, dataset: str, queries: Images, answers: NDArray[np.float32]) -> None:
        self._device = training_device(dataset)
        self._augmentation = augmentation_for(dataset)
        self._queries, self._answers = (
            torch.from_numpy(np.ascontiguousarray(rows)).to(self._device)
            for rows in (queries, answers)
        )

    def batches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented queries (size, ...) and answers (size, C) for ever, in seeded passes."""
        rows = torch.empty(0, dtype=torch.int64)
        while True:
            while len(rows) < size:
                rows = torch.cat([rows, torch.randperm(len(self._queries), generator=generator)])
            batch, rows = rows[:size], rows[size:]
            changed = self._augmentation(self._queries[batch], generator)
            yield with_channels_last(changed), self._answers[batch]

    def score(self, network: nn.Module) -> float:
        """The negative mean cross entropy of the network, as it answers without augmentation."""
        if not len(self._queries):
            return 0.0
        with torch.inference_mode():
            logits = [network(part) for part in torch.split(self._queries, _BATCH)]
            return -float(cross_entropy(torch.cat(logits), self._answers))


def train_piracy_model(
    dataset: str, queries: Images, answers: NDArray[np.float32], *, seed: int, width: float = 0.5
) -> nn.Module:
    """The thief's copy: soft cross entropy on the answers (Q, C) to `queries` (Q, ...).

    Without any answer the copy is untrained.
    """
    network, effort = new_copy(dataset, seed, width), effort_for(dataset)
    if not len(queries):
        return network.to("cpu")
    held, kept = validation_split(len(queries), seed)
    examples = Examples(dataset, queries[kept], answers[kept])
    batches = examples.batches(effort.batch, torch.Generator().manual_seed(seed))

    def draw_loss() -> Tensor:
        inputs, targets = next(batches)
        return cross_entropy(network(inputs), targets)

    score = Examples(dataset, queries[held], answers[held]).score
    return learn(Lesson(network, draw_loss, score), effort)


def new_copy(dataset: str, seed: int, width: float = 0.5) -> nn.Sequential:
    """An untrained network on the device on which the data set trains."""
    torch.manual_seed(seed)
    network = build_network(dataset, width).to(training_device(dataset))
    set_memory_format(network, torch.channels_last)
    return network


def validation_split(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the validation split, a tenth of `count`, and the other rows, in a seeded order."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: count // 10], order[count // 10 :]


def effort_for(dataset: str) -> Effort:
    """The effort that copies for a data set of `build_network` are worth."""
    return EFFORTS.get(dataset, USUAL_EFFORT)
