"""Class split: each account asks about classes of its own.

The attack aims at a policy under which an account is over its budget once several classes are
crossed: no account of many asks about that many classes.

Shapes: N images, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, halfway
from queen.redteam.attacks.hoarder import turn_of
from queen.redteam.attacks.parts.clean_prefix import PROBING
from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.watch import clean_answers, open_watches
from queen.redteam.datasets import Labels
from queen.redteam.networks import predict
from queen.redteam.targets.base import MeteredTarget

_FIRST = 200


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Deal the classes that a copy of the first answers predicts out; learn the clean answers.

    A known query shows an account that is over its budget, which then asks no more.
    """
    watches = open_watches(target, thief, min(_FIRST, target.left // 2))
    copy = quick_copy(thief, *clean_answers(watches))
    rest = thief.pool[sum(len(watch.images) for watch in watches) :]
    share = PROBING.affordable(target.left // len(watches))
    dealt = deal_classes(predict(copy, rest), len(watches), target.num_classes)
    for watch, rows in zip(watches, dealt, strict=True):
        watch.ask(rest[rows[:share]], PROBING)
    images, answers = clean_answers(watches)
    return thief.train(images, halfway(answers))


def deal_classes(labels: Labels, accounts: int, num_classes: int) -> list[NDArray[np.int64]]:
    """Indices of the images that each account asks about, its classes by turns.

    Class c goes to account c mod `accounts`; where there are more accounts than classes, the
    accounts a with a mod C = c share the images of class c.
    """
    turns, everything = turn_of(labels), np.arange(len(labels))
    dealt = []
    for account in range(accounts):
        if accounts <= num_classes:
            own = everything[labels % accounts == account]
        else:
            label = account % num_classes
            sharing = len(range(label, accounts, num_classes))
            own = everything[labels == label][account // num_classes :: sharing]
        dealt.append(own[np.argsort(turns[own], kind="stable")])
    return dealt


ATTACK = Attack("class-split", "each account asks about classes of its own", steal)
