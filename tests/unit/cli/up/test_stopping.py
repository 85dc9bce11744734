"""Requests to stop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from queen.cli.up.stopping import SIGNALS, StopRequests


async def test_every_request_is_an_event_of_its_own() -> None:
    """The first Ctrl-C ends the wait for a first, the second that for a second."""
    requests = StopRequests()
    first, second = (asyncio.create_task(requests.beyond(count)) for count in (0, 1))
    await asyncio.sleep(0)
    requests.ask()
    await first
    assert not second.done()
    requests.ask()
    await second
    assert requests.count == 2


async def test_a_request_that_came_before_is_seen() -> None:
    """A wait that begins after the signal ends at once."""
    requests = StopRequests()
    requests.ask()
    await asyncio.wait_for(requests.beyond(0), 1)


@pytest.mark.parametrize("kind", SIGNALS)
async def test_signals_ask_while_the_block_runs(kind: signal.Signals) -> None:
    """SIGINT, SIGTERM and SIGHUP are requests; afterwards they are what they were."""
    requests, before = StopRequests(), signal.getsignal(kind)
    with requests.from_signals():
        os.kill(os.getpid(), kind)
        await asyncio.wait_for(requests.beyond(0), 5)
    assert signal.getsignal(kind) in {before, signal.SIG_DFL, signal.default_int_handler}
