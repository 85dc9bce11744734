"""Operations that are interleaved: batches on replicas, acts of operators, faults of the store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assess:
    """A replica assesses a batch.

    `meanwhile` holds other operations, each with the number of the replica's call of the store
    before which it happens.
    """

    replica: int
    seed: int
    rows: int
    meanwhile: tuple[tuple[int, Operation], ...] = ()


@dataclass(frozen=True)
class Fail:
    """The store does not answer the call that is under way, before or after its effect."""

    is_after: bool


@dataclass(frozen=True)
class Forget:
    """A replica reads an owner again."""

    replica: int
    owner: str


@dataclass(frozen=True)
class Restart:
    """A replica begins with nothing in memory."""

    replica: int


@dataclass(frozen=True)
class Erase:
    """An operator erases an owner."""

    owner: str


@dataclass(frozen=True)
class Regress:
    """The store loses the last records of some of an owner's lists."""

    owner: str
    labels: tuple[int, ...]
    count: int


Operation = Assess | Fail | Forget | Restart | Erase | Regress
