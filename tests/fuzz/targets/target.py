"""A target: bytes in, the way in which they were received out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from google.protobuf.descriptor import Descriptor

from tests.fuzz.mutations import mutate_message

Mutate = Callable[[bytes, Random, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """A way for bytes to get in.

    `attempt` says how bytes were received: the name of a gRPC code, or `read` or `refused` for a
    file. It raises Problem for whatever must not happen.
    """

    name: str
    seeds: Mapping[str, bytes]
    """Contents to begin with, by what each of them is."""
    attempt: Callable[[bytes], Awaitable[str]]
    mutate: Mutate = mutate_message
    weight: float = 1.0
    """Share of the attempts: less for what costs more."""
    schema: Descriptor | None = None
    """The type of a message; None for a text."""
