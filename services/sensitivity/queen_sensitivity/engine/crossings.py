"""Crossings: classes pass their thresholds, owners get over their budgets or off-distribution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class CrossingKind(IntEnum):
    """Kinds of crossings. The numbers are those of the wire."""

    THRESHOLD = 1
    """T of a class."""
    OFF_DISTRIBUTION = 2
    """The limit of the off-distribution meter."""
    BREADTH = 3
    """The number of crossed classes at which an owner is over its budget."""
    CLASS_CAP = 4
    """The cap of a class, at which its owner is over its budget alone."""


@dataclass(frozen=True)
class Crossing:
    """The `level` of an owner passed its `limit`.

    They are the cqs of the class `label` and its T or its cap; without a label they are crossed
    classes, or those of the off-distribution meter.
    """

    kind: CrossingKind
    account_id: str
    label: int | None
    level: float
    limit: float
