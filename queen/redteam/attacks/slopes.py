"""Slopes: ask about each image with neighbors of it, and learn the answers and their slopes.

A query beside a record of its account is not charged: an image pays for all of its neighbors.
Two answers that differ by little tell how the answer changes on the way from one to the other. The
copy is trained to answer alike and to change alike.

Source: Czarnecki et al., "Sobolev Training for Neural Networks", NeurIPS 2017, with random
directions.

Shapes: N images, K neighbors of each, C classes; B images of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Attack, Thief, account_name, halfway
from queen.redteam.attacks.parts.answered import answered, is_answered
from queen.redteam.datasets import Images
from queen.redteam.learner import Examples, Lesson, effort_for, learn, new_copy
from queen.redteam.networks import with_channels_last
from queen.redteam.targets.base import Account, Answers, MeteredTarget

NEIGHBORS = 64
"""Neighbors of an image: a step along every input where there are no more inputs than this."""
STEPS = (0.002, 0.02, 0.2)
"""Distances of a neighbor from its image that are tried, as a share of the range of the inputs."""
_LEAST = 8
"""Images of a class for which the queries must last, with fewer neighbors if need be."""
_TRIED = 2
"""Images with which the steps are tried."""
_HELD = 8
"""Held-out neighbors, which the slopes of an image must predict."""
_GOOD = 0.1
"""Error, as a share, below which a step tells slopes; larger ones, which may cost, are not tried.

Without such a step the images are asked about alone.
"""
_FINEST = 1e-6
_OUTLIERS = 0.01
"""Share of the slopes that are cut to the largest of the others: some answers jump."""
_SLOPED = 32
"""Images of a training step whose slopes are learned."""


@dataclass(frozen=True, eq=False)
class Asked:
    """N images (N, ...), the way to each neighbor (N, K, ...), and N (1 + K) answers.

    `answers` (N, 1 + K, C) are those to the image and to its neighbors, NaN where refused.
    """

    images: Images
    ways: Images
    answers: Answers

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """The length of each way, (N, K), in units of the input."""
        lengths: NDArray[np.float32] = np.linalg.norm(self.flat_ways, axis=2)
        return lengths

    @property
    def flat_ways(self) -> Images:
        """The ways with their inputs in a row, (N, K, D)."""
        return self.ways.reshape(*self.ways.shape[:2], self.images[0].size)

    @cached_property
    def fineness(self) -> float:
        """The least change of a number from an image to its neighbor, but for the label's number.

        An answer that is rounded changes by the step of its grid, or not at all; the number of the
        label may be the rest of the others.
        """
        first = self.answers[:, :1]
        changes = np.abs(self.answers[:, 1:] - first)
        is_label = np.eye(first.shape[2], dtype=bool)[np.nan_to_num(first).argmax(axis=2)]
        seen = changes[np.isfinite(changes) & (changes > 0) & ~is_label]
        return float(np.clip(seen.min(initial=1.0), _FINEST, 1.0))

    @property
    def classes(self) -> int:
        """C."""
        return len(self.answers[0, 0])

    @classmethod
    def joined(cls, parts: Sequence[Asked]) -> Asked:
        """The images of all parts, one after the other."""
        return cls(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.ways for part in parts]),
            np.concatenate([part.answers for part in parts]),
        )

    def levels(self, fineness: float) -> Answers:
        """Logarithms (N, 1 + K, C) of the answers, as far as answers as fine as that tell them."""
        flat = halfway(self.answers.reshape(-1, self.classes))
        levels: Answers = np.log(flat + np.float32(fineness)).reshape(self.answers.shape)
        return levels


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Find the least step that tells slopes, then ask with it while queries are left.

    Accounts take images in turn, and an image and its neighbors go to one account.
    """
    count, rng = _affordable(thief.queries, target.num_classes), thief.rng
    accounts = [
        target.open_account(account_name(index))
        for index in range(min(thief.accounts, thief.queries))
    ]
    scale = float(thief.pool.max() - thief.pool.min())
    step: float | None = STEPS[0]
    asked: list[Asked] = []
    trials = _TRIED * (1 + len(STEPS) * (count + _HELD))
    if count and 2 * trials <= thief.queries:
        ways = np.stack([_ways(image, thief.pool, count, rng) for image in thief.pool[:_TRIED]])
        step, trial = _least_step(accounts[0], thief.pool[:_TRIED], scale * ways, rng)
        asked.append(trial)
        count = count if step is not None else 0
    first = _TRIED * len(asked)
    for index, image in enumerate(thief.pool[first:][: target.left // (1 + count)]):
        ways = _ways(image, thief.pool, count, rng)
        asked.append(_ask(accounts[index % len(accounts)], image, scale * (step or 0) * ways))
    return train_with_slopes(thief.dataset, Asked.joined(asked), seed=thief.seed)


def _affordable(queries: int, classes: int) -> int:
    """K: NEIGHBORS, or as many as leave a few images of each class."""
    return max(0, min(NEIGHBORS, queries // (_LEAST * classes) - 1))


def _ways(image: Images, pool: Images, count: int, rng: np.random.Generator) -> Images:
    """Ways of length 1 from an image (...) that lead to no number outside of the pool's, (K, ...).

    One for each input where K allows it; otherwise toward images of the pool.
    """
    if count >= image.size:
        middle = (pool.max() + pool.min()) / 2
        signs = np.where(image.ravel() > middle, -1, 1).astype(np.float32)
        return np.diag(signs).reshape(-1, *image.shape)
    others = pool[rng.choice(len(pool), count)] - image
    lengths = np.linalg.norm(others.reshape(count, image.size), axis=1).astype(np.float32)
    # A way to the image itself has no length, and leads nowhere.
    lengths[lengths == 0] = 1
    ways: Images = others / lengths.reshape(-1, *(1 for _ in image.shape))
    return ways


def _ask(account: Account, image: Images, ways: Images) -> Asked:
    """An image (...) and the ends of its ways (K, ...), asked about in one request."""
    answers = account.ask(np.concatenate([image[None], image + ways]))
    return Asked(image[None], ways[None], answers[None])


def _least_step(
    account: Account, images: Images, ways: Images, rng: np.random.Generator
) -> tuple[float | None, Asked]:
    """The least step whose slopes predict held-out neighbors, and the answers that it had.

    `ways` (N, K, ...) are of length 1. A held-out neighbor lies between K others of its image.
    """
    shares = np.abs(rng.normal(size=(len(images), _HELD, ways.shape[1]))).astype(np.float32)
    mixed = np.einsum("nhk,nk...->nh...", shares, ways)
    shares /= np.linalg.norm(mixed.reshape(*mixed.shape[:2], -1), axis=2)[..., None]
    held = np.einsum("nhk,nk...->nh...", shares, ways)
    kept = ways.shape[1]
    for step in STEPS:
        every = step * np.concatenate([ways, held], axis=1)
        parts = [_ask(account, image, every[row]) for row, image in enumerate(images)]
        trial = Asked.joined(parts)
        if _error(trial.levels(trial.fineness), shares) < _GOOD:
            return step, Asked(trial.images, trial.ways[:, :kept], trial.answers[:, : 1 + kept])
    return None, Asked(trial.images, trial.ways[:, :0], trial.answers[:, :1])


def _error(levels: Answers, shares: NDArray[np.float32]) -> float:
    """Squared error of the changes that slopes predict, as a share of all squared changes.

    `levels` (N, 1 + K + H, C), of which the last H are held out, and lie at `shares` (N, H, K) of
    the K others. Infinity where nothing changes or nothing is answered.
    """
    changes = levels[:, 1:] - levels[:, :1]
    known = shares.shape[2]
    expected = np.einsum("nhk,nkc->nhc", shares, changes[:, :known])
    missed = np.nansum(np.square(expected - changes[:, known:]))
    every = np.nansum(np.square(changes[:, known:]))
    return float(missed / every) if every > 0 else np.inf


def train_with_slopes(dataset: str, asked: Asked, *, seed: int) -> nn.Module:
    """A copy of half width that learned the answers, and how they change along the ways.

    Augmented queries keep their answers as in any training; slopes are those of the images
    themselves. Slopes leave nothing for a validation split to find: all of the effort's steps are
    taken.
    """
    network, effort = new_copy(dataset, seed), effort_for(dataset)
    queries = np.concatenate([asked.images[:, None], asked.images[:, None] + asked.ways], axis=1)
    queries, answers = answered(
        queries.reshape(-1, *asked.images.shape[1:]), asked.answers.reshape(-1, asked.classes)
    )
    if not len(queries):
        return network.to("cpu")
    generator = torch.Generator().manual_seed(seed)
    batches = Examples(dataset, queries, halfway(answers)).batches(effort.batch, generator)
    slopes = _Slopes(asked, next(network.parameters()).device)

    def draw_loss() -> Tensor:
        inputs, targets = next(batches)
        return cross_entropy(network(inputs), targets) + slopes.loss(network, generator)

    return learn(Lesson(network, draw_loss, lambda _mean: 0.0), effort)


class _Slopes:
    """The slopes at the images that were answered, for training on a device."""

    def __init__(self, asked: Asked, device: torch.device) -> None:
        fineness = asked.fineness
        levels = asked.levels(fineness)
        is_known = is_answered(levels[:, 0])
        changes = levels[is_known, 1:] - levels[is_known, :1]
        lengths = np.maximum(asked.lengths[is_known], np.finfo(np.float32).tiny)[..., None]
        slopes = changes / lengths
        came = np.isfinite(slopes).all(axis=2, keepdims=True)
        slopes = np.where(came, slopes, 0)
        most = np.quantile(np.abs(slopes), 1 - _OUTLIERS) if slopes.size else 0.0
        slopes = slopes.clip(-most, most)
        ways = np.where(came, asked.flat_ways[is_known] / lengths, 0)
        self._fineness = fineness
        self._images, self._levels, self._slopes, self._ways = (
            torch.from_numpy(np.ascontiguousarray(rows, np.float32)).to(device)
            for rows in (asked.images[is_known], levels[is_known, 0], slopes, ways)
        )
        self._usual_slope = _mean_square(slopes)
        self._usual_level = _mean_square(levels[is_known, 0])

    def loss(self, network: nn.Module, generator: torch.Generator) -> Tensor:
        """Squared errors of the levels and slopes of some images, as shares of their squares.

        The slope along a random mixture of the ways is compared, which needs one derivative for
        each image.
        """
        if not len(self._images):
            return torch.zeros(())
        rows = torch.randint(len(self._images), (_SLOPED,), generator=generator)
        images, ways, slopes = self._images[rows], self._ways[rows], self._slopes[rows]
        shares = torch.randn(ways.shape[:2], generator=generator).to(ways.device)
        shares /= max(ways.shape[1], 1) ** 0.5
        way = torch.einsum("bk,bkd->bd", shares, ways).reshape(images.shape)
        expected = torch.einsum("bk,bkc->bc", shares, slopes)

        def levels_of(inputs: Tensor) -> Tensor:
            return torch.log(torch.softmax(network(inputs), dim=1) + self._fineness)

        inputs, way = with_channels_last(images), with_channels_last(way)
        both = cast(tuple[Tensor, Tensor], jvp(levels_of, (inputs,), (way,)))
        levels, changes = both
        of_levels = (levels - self._levels[rows]).square().mean() / self._usual_level
        of_slopes = (changes - expected).square().mean() / self._usual_slope
        loss: Tensor = of_levels + of_slopes
        return loss


def _mean_square(rows: NDArray[np.floating]) -> float:
    """The mean square of numbers; infinity where all are 0, so that nothing is learned of them."""
    square = float(np.square(rows).mean()) if rows.size else 0.0
    return square if square > 0 else np.inf


ATTACK = Attack("slopes", "ask about images and free neighbors of each, learn the slopes", steal)
