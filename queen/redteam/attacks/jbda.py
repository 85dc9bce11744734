"""JBDA-TR: ask about few seed images, and about copies of them pushed toward random classes.

Source: Juuti et al., "PRADA: Protecting Against DNN Model Stealing Attacks", EuroS&P 2019,
synthetic samples in targeted random directions (T-RND).

Shapes: N images, Q queries, C classes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.datasets import Images
from queen.redteam.networks import Regime, build_network, predict, train_network, training_device
from queen.redteam.targets.base import MeteredTarget

SEEDS = 1000
COPIES = 3
STEPS = 8
EPSILON = 0.1
"""Largest change of a pixel, in pixel space."""
_STEP = 2.5 * EPSILON / STEPS
"""Length of a step: 4 of the 8 steps reach the edge of the ball, the rest can turn back."""
_ROUND_STEPS = 300
"""Steps of a round's retraining, which goes on with the last round's weights."""
_BATCH = 512


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Alternate short retraining and copies of images, until the budget is used up.

    Every image asked so far is a parent of the next round's copies. The network of the rounds only
    steers the images; the copy that is returned is trained from scratch.
    """
    rng = thief.rng
    images = thief.stream[: min(SEEDS, max(thief.queries // 10, 1))]
    answers = ask_spread(target, images, thief.accounts)
    torch.manual_seed(thief.seed)
    steering, device = build_network(thief.dataset, 0.5), training_device(thief.dataset)
    while (left := thief.queries - len(images)) > 0:
        epochs = -(-_ROUND_STEPS // -(-len(images) // 64))
        train_network(
            steering, *answered(images, answers), Regime(epochs, thief.seed, device=device)
        )
        parents = images[rng.permutation(len(images))]
        copies, _ = targeted_copies(steering.to(device), parents, target.num_classes, left, rng)
        images = np.concatenate([images, copies])
        answers = np.concatenate([answers, ask_spread(target, copies, thief.accounts)])
    return thief.train(images, answers)


def targeted_copies(
    network: nn.Module, parents: Images, classes: int, limit: int, rng: np.random.Generator
) -> tuple[Images, NDArray[np.int64]]:
    """At most `limit` images (N, ...), 3 of each of the `parents`, and the parent of each (N,).

    Each copy goes toward another class than the network's own, drawn at random; an image has fewer
    than 3 copies where there are fewer other classes.
    """
    towards = _other_classes(predict(network, parents), classes, rng)
    origins = np.repeat(np.arange(len(parents)), towards.shape[1])[:limit]
    targets = towards.ravel()[:limit]
    pieces = [
        _descend(network, parents[origins[rows]], targets[rows])
        for rows in np.array_split(np.arange(len(origins)), -(-len(origins) // _BATCH))
    ]
    return np.concatenate(pieces), origins


def _other_classes(
    labels: NDArray[np.int64], classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """For labels (N,), up to 3 distinct classes each that are not the label, (N, 3)."""
    offsets = np.tile(np.arange(1, classes), (len(labels), 1))
    chosen = rng.permuted(offsets, axis=1)[:, :COPIES]
    others: NDArray[np.int64] = (labels[:, None] + chosen) % classes
    return others


def _descend(network: nn.Module, parents: Images, targets: NDArray[np.int64]) -> Images:
    """8 signed steps down the cross entropy of `targets` (N,), within the ball and [0, 1]."""
    device = next(network.parameters()).device
    start, wanted = torch.from_numpy(parents).to(device), torch.from_numpy(targets).to(device)
    low, high = (start - EPSILON).clamp(0, 1), (start + EPSILON).clamp(0, 1)
    images = start.clone()
    for _ in range(STEPS):
        images.requires_grad_(True)
        loss = nn.functional.cross_entropy(network(images), wanted, reduction="sum")
        (slope,) = torch.autograd.grad(loss, images)
        images = (images.detach() - _STEP * slope.sign()).clamp(low, high)
    return images.cpu().numpy()


ATTACK = Attack("jbda-tr", "ask about few images and about copies pushed to other classes", steal)
