"""Micro-batches of a small bundle, for the tests of what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

import numpy as np
from queen_inference.micro_batch import MicroBatch, Pending
from queen_inference.protectee import Protectee

from queen.method.contracts import Profile
from queen.serving.auth import Account
from tests.bundles import SmallBundle


def account_of(profile: Profile, name: str = "") -> Account:
    """An account under a profile, named after it unless it has a name."""
    return Account(name or profile.value, profile, f"hash-{name or profile.value}")


def pending_of(account: Account, rows: np.ndarray, expires: float = np.inf) -> Pending:
    """A request of some queries (R, ...); needs a running event loop."""
    answers = asyncio.get_running_loop().create_future()
    return Pending(account, rows, expires, perf_counter(), answers)


def batch_of(
    small: SmallBundle,
    protectee: Protectee,
    accounts: Sequence[Account],
    sizes: Sequence[int],
    expires: Sequence[float] = (),
) -> MicroBatch:
    """Requests of so many queries each, with what the protectee gives for them."""
    ends = np.cumsum(sizes).tolist()
    deadlines = expires or [np.inf] * len(sizes)
    requests = [
        pending_of(account, small.inputs[end - size : end], deadline)
        for account, size, end, deadline in zip(accounts, sizes, ends, deadlines, strict=True)
    ]
    inputs = small.inputs[: ends[-1]]
    return MicroBatch.of(requests, inputs, protectee.run(inputs))
