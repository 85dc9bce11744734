"""Crossings: a class of an owner passes its threshold, or an owner goes off-distribution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crossing:
    """An owner was within `limit`, and is so no longer.

    Of a class, `label`, the level is cqs and the limit T; without a label they are those of
    the off-distribution meter.
    """

    account_id: str
    label: int | None
    level: float
    limit: float
