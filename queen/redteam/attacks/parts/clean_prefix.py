"""The clean prefix: all answers before the crossing, which the thief notices without help.

Two things are watched. A known query shows the crossing of an account that is reversed or refused
as a whole. Where only some queries are reversed, the later answers become odd: flatter than the
first ones, or at odds with a copy of them.

Shapes: N answers of an account, K first ones, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.watch import Probing, Watch, open_watches
from queen.redteam.datasets import Images
from queen.redteam.networks import predict
from queen.redteam.targets.base import Answers, MeteredTarget

PROBING = Probing(every=16, repeats=1)
_FIRST = 16
"""Images that each account asks about before its known query is chosen."""
_FLAT = 0.05
_MORE = 0.2
"""Rise of the share of odd answers that is looked for."""
_EVIDENCE = float(np.log(1e6))
_LEAST = 0.01


def ask_clean_prefix(target: MeteredTarget, thief: Thief) -> tuple[Images, Answers]:
    """Ask about the stream until each account is over; the images (N, ...) and clean answers."""
    first = _FIRST * thief.accounts
    watches = open_watches(target, thief, min(first, target.left // 2))
    later, share = thief.stream[sum(len(w.images) for w in watches) :], target.left // len(watches)
    for index, watch in enumerate(watches):
        watch.ask(later[index :: len(watches)][: PROBING.affordable(share)], PROBING)
    kept = trusted_lengths(thief, watches)
    return (
        np.concatenate([w.images[:length] for w, length in zip(watches, kept, strict=True)]),
        np.concatenate([w.answers[:length] for w, length in zip(watches, kept, strict=True)]),
    )


def trusted_lengths(thief: Thief, watches: list[Watch]) -> list[int]:
    """The number of answers of each account before they become odd."""
    asked, classes = len(thief.stream) // len(watches), watches[0].answers.shape[1]
    first = prefix_length(asked, classes)
    if all(len(watch.images) <= first for watch in watches):
        return [len(watch.images) for watch in watches]
    images = np.concatenate([watch.images[:first] for watch in watches])
    answers = np.concatenate([watch.answers[:first] for watch in watches])
    # Half of the first answers make the copy; the others tell how often it errs.
    copy = quick_copy(thief, images[::2], answers[::2])
    errs = float((predict(copy, images[1::2]) != answers[1::2].argmax(axis=1)).mean())
    lowest = np.quantile(answers.max(axis=1), _FLAT)
    lengths = []
    for watch in watches:
        later = watch.answers[first:]
        is_flat = later.max(axis=1) < lowest
        is_denied = predict(copy, watch.images[first:]) != later.argmax(axis=1)
        clean = min(usual_length(is_flat, _FLAT), usual_length(is_denied, errs))
        lengths.append(min(first, len(watch.images)) + clean)
    return lengths


def usual_length(is_odd: NDArray[np.bool_], share: float) -> int:
    """The number of answers before their odd ones, (N,), become more frequent than `share`; or N.

    A cumulative sum of log-likelihood ratios (Page, 1954) gives the alarm; the change is where the
    sum last left 0.
    """
    usual = float(np.clip(share, _LEAST, 0.5))
    more = min(usual + _MORE, 1 - _LEAST)
    steps = np.where(is_odd, np.log(more / usual), np.log((1 - more) / (1 - usual)))
    total = np.concatenate([[0.0], np.cumsum(steps)])
    lowest = np.minimum.accumulate(total)
    alarms = total - lowest > _EVIDENCE
    if not alarms.any():
        return len(is_odd)
    alarm = int(alarms.argmax())
    return int(np.flatnonzero(total[: alarm + 1] == lowest[alarm])[-1])
