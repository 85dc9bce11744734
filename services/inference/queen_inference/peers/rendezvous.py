"""Assigns owners to endpoints by rendezvous (highest random weight) hashing, pure.

The weight of an endpoint for an owner is BLAKE2b, 8 bytes long and read as a big-endian
number, of the UTF-8 text ENDPOINT, one zero byte, and the UTF-8 text OWNER. The owner
belongs to the endpoint with the largest weight; while that is gone, to the next. So an
endpoint that leaves moves only its own owners, and all front doors choose alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable
from functools import lru_cache

CACHED_OWNERS = 1 << 14
"""Owners whose ranking is remembered; any other owner costs a hash for every endpoint."""


def weight(endpoint: str, owner: str) -> int:
    """Weight of an endpoint for an owner, from 0 to 2^64 - 1."""
    text = b"\0".join((endpoint.encode(), owner.encode()))
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


class Rendezvous:
    """The ranking of some endpoints for each owner, remembered for the latest owners."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self.endpoints = tuple(sorted(endpoints))
        self.ranking = lru_cache(CACHED_OWNERS)(self._rank)

    def choose(self, owner: str, among: Container[str]) -> str:
        """The endpoint that an owner belongs to, of those that are in `among`, at least one."""
        return next(endpoint for endpoint in self.ranking(owner) if endpoint in among)

    def _rank(self, owner: str) -> tuple[str, ...]:
        return tuple(sorted(self.endpoints, key=lambda at: weight(at, owner), reverse=True))
