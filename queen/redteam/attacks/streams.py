"""Attacks that differ in what they ask, in what order, and which answers they believe."""

from __future__ import annotations

from queen.redteam.attacks import (
    disambiguate,
    discard,
    early_trust,
    hurried,
    invert,
    label_only,
    out_of_region,
    recorded_neighbour,
    repeat,
    runner_up,
    s4l,
    slow_drip,
    twice_ask,
    two_heads,
    warm_up,
)
from queen.redteam.attacks.base import Attack

STREAM_ATTACKS: tuple[Attack, ...] = (
    label_only.ATTACK,
    *repeat.ATTACKS,
    *twice_ask.ATTACKS,
    s4l.ATTACK,
    *discard.ATTACKS,
    disambiguate.ATTACK,
    *runner_up.ATTACKS,
    *early_trust.ATTACKS,
    *invert.ATTACKS,
    *out_of_region.ATTACKS,
    *recorded_neighbour.ATTACKS,
    two_heads.ATTACK,
    warm_up.ATTACK,
    slow_drip.ATTACK,
    hurried.ATTACK,
)
