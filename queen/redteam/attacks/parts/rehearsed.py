"""What the attacks share that fit the defence to a twin: the answers, and a rehearsal of them.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Means, Rehearsal
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.targets.base import Answers, MeteredTarget


@dataclass(frozen=True, eq=False)
class Rehearsed:
    """The `answers` (Q, C) to the stream, and what the recipe made of it on the `twin`.

    The twin is the copy of the prefix; the rows of `rehearsal` are the stream's.
    """

    answers: Answers
    twin: nn.Module
    rehearsal: Rehearsal


def ask_and_rehearse(target: MeteredTarget, means: Means) -> Rehearsed:
    """Ask about the whole stream, and rehearse it on a copy of the first answers.

    Raises what the rehearsal raises: FitError where an account's share of the stream
    leaves out a class, so that the accounts must be few enough for it.
    """
    prefix = ask_prefix(target, means)
    _, later = ask_rest(target, means, prefix)
    answers = np.concatenate([prefix.answers, later])
    rehearsal = rehearse_spread(means, prefix.copy, len(prefix.queries))
    return Rehearsed(answers, prefix.copy, rehearsal)


def rehearse_spread(means: Means, twin: nn.Module, prefix: int) -> Rehearsal:
    """The rehearsal of the stream, one of each account's share, in the stream's order.

    An account's verdicts follow from what that account asked, so that the shares are
    those that it was dealt: of the first `prefix` queries, then of the rest.
    """
    queries, step = np.arange(len(means.stream)), means.accounts
    dealt = [
        np.concatenate([queries[:prefix][number::step], queries[prefix:][number::step]])
        for number in range(step)
    ]
    shares = [share for share in dealt if len(share)]
    rehearsals = [means.rehearse(twin, means.stream[share]) for share in shares]
    back = np.argsort(np.concatenate(shares))
    return Rehearsal(
        np.concatenate([one.clean for one in rehearsals])[back],
        np.concatenate([one.defended for one in rehearsals])[back],
        np.concatenate([one.is_flagged for one in rehearsals])[back],
    )
