"""Hurried: ask with deadlines too short for a verdict, in the hope of an answer without one.

A front door that answers such requests by its failure mode would give true labels for short
deadlines, even to an account over its budget. The attack needs the clock of a served endpoint;
without it the attack asks as `knockoff` does. Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, account_name, one_hot
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredAccount, MeteredTarget

Accounts = Sequence[MeteredAccount]
_REQUEST = 16
_SHARES = (0.5, 0.7, 0.85, 1.0, 1.3)
"""Deadlines that are tried in turn, as multiples of the usual time of an answer."""
_ALIKE = 1e-6
_NOTHING = 1e-4


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Time the first answers, hurry the rest, and believe the answers that are bare labels.

    If there are none, learn all answers.
    """
    accounts = [target.open_account(account_name(index)) for index in range(thief.accounts)]
    usual = prefix_length(len(thief.stream), target.num_classes)
    first, seconds = _timed(accounts, thief.stream[:usual])
    rest, answers = _hurry(accounts, thief.stream[usual:], first.shape[1], seconds)
    bare = is_label_only(answers)
    if bare.any():
        rest, answers = rest[bare], one_hot(answers[bare])
    queries = np.concatenate([thief.stream[:usual], rest])
    return thief.train(queries, np.concatenate([first, answers]))


def is_label_only(answers: Answers) -> NDArray[np.bool_]:
    """Marks (N,) of the answers (N, C) that tell a label only: all other classes are alike.

    An answer that gives next to nothing to all other classes is not counted: a model that is
    very sure gives it as well.
    """
    others = np.sort(answers, axis=1)[:, :-1]
    alike: NDArray[np.bool_] = others[:, -1] - others[:, 0] < _ALIKE
    return alike & (others[:, 0] > _NOTHING)


def _timed(accounts: Accounts, queries: Images) -> tuple[Answers, float]:
    """Answers (N, C), and the median of the seconds that a request took."""
    answers, seconds = [], []
    for account, part in _requests(accounts, queries):
        began = perf_counter()
        answers.append(account.ask(part))
        seconds.append(perf_counter() - began)
    return np.concatenate(answers), float(np.median(seconds))


def _hurry(
    accounts: Accounts, queries: Images, classes: int, seconds: float
) -> tuple[Images, Answers]:
    """The queries (N, ...) that were answered within their deadlines, and the answers (N, C)."""
    kept, answers = [queries[:0]], [np.empty((0, classes), np.float32)]
    for share, (account, part) in zip(cycle(_SHARES), _requests(accounts, queries), strict=False):
        answer = account.ask_within(part, share * seconds)
        if answer is not None:
            kept.append(part)
            answers.append(answer)
    return np.concatenate(kept), np.concatenate(answers)


def _requests(accounts: Accounts, queries: Images) -> Iterator[tuple[MeteredAccount, Images]]:
    """Small requests, the accounts in turn."""
    starts = range(0, len(queries), _REQUEST)
    for account, start in zip(cycle(accounts), starts, strict=False):
        yield account, queries[start : start + _REQUEST]


ATTACK = Attack("hurried", "deadlines too short for a verdict; needs an endpoint", steal)
