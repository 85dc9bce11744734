"""Early trust: believe only the first answers, which came before any crossing.

Shapes: K first queries, H held-out ones, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.attacks.parts.prefix import Prefix, ask_prefix
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.networks import predict
from queen.redteam.targets.base import Answers, MeteredTarget

_DIVISORS = (100, 50, 20, 10, 5)


def prefix_only(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Return the copy of the first answers as it is."""
    return ask_prefix(target, thief).copy


def relabel(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Let the copy of the first answers label the rest of the pool; learn all of it."""
    return _relabelled(thief, ask_prefix(target, thief))


def scan(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Relabel, with the length of the prefix chosen by the first answers themselves.

    Lengths from a hundredth to a fifth of the queries compete on answers held out from the
    first few, which are the least likely to be changed: a prefix that reaches into changed
    answers agrees less with them.
    """
    lengths = scan_lengths(len(thief.stream), target.num_classes)
    queries = thief.stream[: lengths[-1]]
    answers = ask_spread(target, queries, thief.accounts)
    kept = best_length(thief, queries, answers, lengths)
    queries, answers = queries[:kept], answers[:kept]
    return _relabelled(thief, Prefix(queries, answers, thief.train(queries, answers)))


def scan_lengths(asked: int, num_classes: int) -> list[int]:
    """Lengths that compete, rising; none below two queries a class, or half of all if fewer."""
    shortest = max(1, min(2 * num_classes, asked // 2))
    return sorted({max(asked // divisor, shortest) for divisor in _DIVISORS})


def best_length(thief: Thief, queries: Images, answers: Answers, lengths: list[int]) -> int:
    """The length whose copy agrees best with the held-out first answers; the shorter of equals.

    Held out is every second answer of the first fiftieth of the stream, or of ten a class if that
    is more: H of `queries` (K, ...) with their `answers` (K, C).
    """
    first = min(max(len(thief.stream) // 50, 10 * answers.shape[1]), len(queries))
    is_held = np.arange(len(queries)) % 2 == 1
    is_held[first:] = False
    is_held &= is_answered(answers)
    truth = answers[is_held].argmax(axis=1)
    scores = []
    for length in lengths:
        kept = np.flatnonzero(~is_held[:length])
        copy = thief.train(queries[kept], answers[kept])
        scores.append((predict(copy, queries[is_held]) == truth).mean())
    return lengths[int(np.argmax(scores))]


def _relabelled(thief: Thief, prefix: Prefix) -> nn.Module:
    rest = thief.pool[len(prefix.queries) :]
    return thief.train(*prefix.followed_by(rest, posterior(prefix.copy, rest)))


ATTACKS = (
    Attack("early-trust", "a copy of the first twentieth labels the rest", relabel),
    Attack("early-trust-prefix-only", "learn the first twentieth, ignore the rest", prefix_only),
    Attack("early-trust-scan", "choose how many first answers to trust, label the rest", scan),
)
