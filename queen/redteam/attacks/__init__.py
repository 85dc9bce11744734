"""Attacks that steal a classifier: a file for each, found by name in `ATTACKS`."""

from __future__ import annotations

from queen.redteam.attacks import (
    active,
    argmin_rule,
    art_library,
    class_split,
    d_dae,
    decoder,
    dimmed,
    disambiguate,
    discard,
    early_trust,
    full_knowledge,
    hoarder,
    hurried,
    invert,
    jbda,
    knockoff,
    label_only,
    out_of_region,
    partial_bayes,
    prefix_and_stop,
    preserved,
    recorded_neighbor,
    repeat,
    retry,
    runner_up,
    s4l,
    semi_supervised,
    slopes,
    slow_drip,
    twice_ask,
    two_heads,
    warm_up,
)
from queen.redteam.attacks.base import Attack, Simulation, Thief

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        knockoff.ATTACK,
        label_only.ATTACK,
        *repeat.ATTACKS,
        *twice_ask.ATTACKS,
        s4l.ATTACK,
        *semi_supervised.ATTACKS,
        *discard.ATTACKS,
        disambiguate.ATTACK,
        *runner_up.ATTACKS,
        *early_trust.ATTACKS,
        prefix_and_stop.ATTACK,
        preserved.ATTACK,
        *invert.ATTACKS,
        argmin_rule.ATTACK,
        *out_of_region.ATTACKS,
        *active.ATTACKS,
        *recorded_neighbor.ATTACKS,
        two_heads.ATTACK,
        warm_up.ATTACK,
        slow_drip.ATTACK,
        *dimmed.ATTACKS,
        retry.ATTACK,
        slopes.ATTACK,
        hoarder.ATTACK,
        class_split.ATTACK,
        hurried.ATTACK,
        jbda.ATTACK,
        *d_dae.ATTACKS,
        partial_bayes.ATTACK,
        *decoder.ATTACKS,
        *full_knowledge.ATTACKS,
        *art_library.ATTACKS,
    )
}

__all__ = ["ATTACKS", "Attack", "Simulation", "Thief"]
