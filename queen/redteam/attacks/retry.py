"""Retry: change each refused image slightly, again and again, until some change is answered.

A profile that refuses tells at no cost that it does. Where it answers what lies near a record, a
change may fall on one by chance, and its answer is the label of the image. Shapes: N images.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, account_name, one_hot
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.attacks.parts.copies import look_alikes
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Account, Answers, MeteredTarget

TRIES = 20
"""Changes of an image that are tried."""
_REQUEST = 64
"""Images that an account asks about as they are, before it looks whether one was refused."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the labels that came, those of changed images for the images as they were."""
    rng, learned = thief.rng, list[tuple[Images, Answers]]()
    for index in range(thief.accounts):
        account = target.open_account(account_name(index))
        images = thief.pool[index :: thief.accounts]
        before, share = target.left, target.left // (thief.accounts - index)
        known, answers = _until_refused(account, images[:share])
        learned.append((known, answers))
        left = share - (before - target.left)
        rest = images[len(known) :][: left // (TRIES + 1)]
        if len(rest):
            learned.append(_retried(account, rest, rng))
    images, answers = (np.concatenate(parts) for parts in zip(*learned, strict=True))
    return thief.train(images, one_hot(answers))


def _until_refused(account: Account, images: Images) -> tuple[Images, Answers]:
    """The first of the images (N, ...), and their answers, up to the request with a refusal."""
    answers: list[Answers] = []
    for start in range(0, len(images), _REQUEST):
        answers.append(account.ask(images[start : start + _REQUEST]))
        if not is_answered(answers[-1]).all():
            break
    every = np.concatenate(answers)
    came = is_answered(every)
    first = int(came.argmin()) if not came.all() else len(came)
    return images[:first], every[:first]


def _retried(account: Account, images: Images, rng: np.random.Generator) -> tuple[Images, Answers]:
    """The images (N, ...) of which a change was answered, with that answer."""
    answers = account.ask(images)
    for _ in range(TRIES):
        open_rows = np.flatnonzero(~is_answered(answers))
        if not len(open_rows):
            break
        answers[open_rows] = account.ask(look_alikes(images[open_rows], rng))
    came = is_answered(answers)
    return images[came], answers[came]


ATTACK = Attack("retry", "change refused images slightly until a change is answered", steal)
