"""Crossings: a class of an owner passes its threshold, or an owner becomes off-distribution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crossing:
    """The `level` of an owner passed its `limit`.

    With a `label` they are the cqs and T of that class; without, they are those of the
    off-distribution meter.
    """

    account_id: str
    label: int | None
    level: float
    limit: float
