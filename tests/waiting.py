"""Waiting for a condition, with a deadline, in place of a sleep that is long enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_SECONDS = 30.0
"""Enough for a busy machine; a condition that holds earlier is seen at once."""
_POLL_SECONDS = 0.01


def nothing_more() -> str:
    """The default explanation of a failure."""
    return "it did not happen in time"


def eventually(
    claim: Callable[[], bool],
    seconds: float = PATIENCE_SECONDS,
    why_not: Callable[[], object] = nothing_more,
) -> None:
    """Wait until a claim holds; AssertionError with `why_not()` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, why_not()
        time.sleep(_POLL_SECONDS)


async def until(claim: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a claim holds while the event loop runs; TimeoutError if it does not in time."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(_POLL_SECONDS)
