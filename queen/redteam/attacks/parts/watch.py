"""A watched account: a known query, sent again and again, shows the crossing.

The answer to a repeated query stays the same until the account is over its budget; then most
profiles change it, or refuse other queries. Repeats are never recorded, so that they cost queries
and no budget. Nothing here needs an evaluator: the thief sees the answers alone.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from queen.redteam.attacks.base import Thief, account_name
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget

_REQUEST = 64
"""Queries that a request has at most, or one group: a request that is refused is lost."""
_CHANGED = 1e-4
"""L1 distance over which the answer to the known query is another answer."""


class Probing(NamedTuple):
    """The rhythm of a watched account: after every `every` images, `repeats` known queries."""

    every: int
    repeats: int

    def affordable(self, queries: int) -> int:
        """The number of images that can be asked about with that many queries."""
        group = self.every + self.repeats
        rest = max(queries % group - self.repeats, 0)
        return queries // group * self.every + rest


class Watch:
    """An account, its clean answers so far, and whether it is over its budget.

    The known query is the image of the account's `first` answers whose answer is the surest: such
    an image is like the training data, so that its repeats do not look odd.
    """

    def __init__(self, target: MeteredTarget, name: str, first: Images) -> None:
        self._account = target.open_account(name)
        answers = self._account.ask(first)
        came = is_answered(answers)
        self.is_over = not came.all()
        self._images, self._answers = [first[came]], [answers[came]]
        surest = int(np.where(came, answers.max(axis=1), -1).argmax())
        self._probe, self._known = first[surest : surest + 1], answers[surest]

    @property
    def images(self) -> Images:
        """The images with a clean answer, (N, ...), in the order in which they were sent."""
        return np.concatenate(self._images)

    @property
    def answers(self) -> Answers:
        """The clean answers, (N, C)."""
        return np.concatenate(self._answers)

    def ask(self, images: Images, probing: Probing) -> int:
        """Ask about `images` (N, ...) until the known query shows a crossing; the number kept.

        A group of images is followed by known queries. The images before the last unchanged answer
        are clean, and so is the next one, which was sent to an account that was not over yet.
        """
        size = max(1, _REQUEST // (probing.every + probing.repeats)) * probing.every
        kept = 0
        for start in range(0, len(images), size):
            if self.is_over:
                break
            part = images[start : start + size]
            answers, count = self._request(part, probing)
            self._images.append(part[:count])
            self._answers.append(answers[:count])
            kept += count
        return kept

    def _request(self, images: Images, probing: Probing) -> tuple[Answers, int]:
        """Answers (N, C) to the images of one request, and how many of them are clean."""
        starts = range(0, len(images), probing.every)
        probes = np.repeat(self._probe, probing.repeats, axis=0)
        groups = [(images[start : start + probing.every], probes) for start in starts]
        is_probe = np.concatenate(
            [np.repeat([False, True], [len(group), len(again)]) for group, again in groups]
        )
        answers = self._account.ask(np.concatenate([part for group in groups for part in group]))
        own = answers[~is_probe]
        if not is_answered(answers).all():
            self.is_over = True
            return own, int(np.append(is_answered(own), False).argmin())
        moved = np.abs(answers[is_probe] - self._known).sum(axis=1) > _CHANGED
        changed = moved.reshape(len(groups), -1).any(axis=1)
        if not changed.any():
            return own, len(own)
        self.is_over = True
        return own, min(int(changed.argmax()) * probing.every + 1, len(own))


def open_watches(target: MeteredTarget, thief: Thief, first: int) -> list[Watch]:
    """The thief's accounts, each after its share of the `first` images of the stream.

    Fewer than one image an account opens fewer accounts.
    """
    count, images = thief.accounts, thief.stream[: max(first, min(thief.accounts, target.left))]
    shares = [images[index::count] for index in range(count)]
    return [
        Watch(target, account_name(index), share)
        for index, share in enumerate(shares)
        if len(share)
    ]


def clean_answers(watches: Sequence[Watch]) -> tuple[Images, Answers]:
    """The images (N, ...) with a clean answer (N, C) of all accounts, one after the other."""
    return (
        np.concatenate([watch.images for watch in watches]),
        np.concatenate([watch.answers for watch in watches]),
    )
