"""The published defenses that Queen is compared with: a file for each, found in `DEFENSES`."""

from __future__ import annotations

from queen.redteam.defenses import (
    adaptive_misinformation,
    grad2,
    mad_argmax,
    modelguard_s,
    modelguard_w,
    none,
    reverse_sigmoid,
    rounding,
    top_one,
)
from queen.redteam.defenses.base import Answer, Asked, Defense, Training

DEFENSES: dict[str, Defense] = {
    defense.name: defense
    for defense in (
        none.DEFENSE,
        top_one.DEFENSE,
        rounding.DEFENSE,
        reverse_sigmoid.DEFENSE,
        mad_argmax.DEFENSE,
        adaptive_misinformation.DEFENSE,
        *adaptive_misinformation.STRONGER,
        modelguard_w.DEFENSE,
        modelguard_s.DEFENSE,
        grad2.DEFENSE,
        grad2.FIXED_DIRECTION,
    )
}

__all__ = ["DEFENSES", "Answer", "Asked", "Defense", "Training"]
