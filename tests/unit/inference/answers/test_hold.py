"""Moments at which answers leave."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from queen_inference.answers.hold import Hold

from queen.serving.lasting.tasks import Lasting


async def test_calls_come_in_the_loop_at_their_moments() -> None:
    """In the order of the moments, none too early, whoever was first to ask."""
    loop, hold = asyncio.get_running_loop(), Hold()
    called: list[tuple[float, float]] = []
    is_done = asyncio.Event()
    start = loop.time()
    moments = [start + wait for wait in (0.03, 0.01, 0.02, 0.01, 0.04)]
    with hold.running():
        for moment in moments:
            hold.at(moment, lambda moment=moment: called.append((moment, loop.time())))
        hold.at(start + 0.05, is_done.set)
        await asyncio.wait_for(is_done.wait(), 10)
    assert [moment for moment, _ in called] == sorted(moments)
    assert all(moment <= now for moment, now in called)
    assert all(before[1] <= after[1] for before, after in pairwise(called))


async def test_nothing_that_is_held_is_lost_at_the_end() -> None:
    """The calls that are left are made at the end, in order; later ones at once."""
    loop, hold = asyncio.get_running_loop(), Hold()
    called: list[int] = []
    with hold.running():
        for number in (2, 1, 3):
            hold.at(loop.time() + 100 * number, lambda number=number: called.append(number))
        assert called == []
    assert called == [1, 2, 3]
    hold.at(loop.time() + 100, lambda: called.append(4))
    assert called == [1, 2, 3, 4]


async def test_the_death_of_the_thread_is_told() -> None:
    """Answers would be held for ever: the process ends instead."""
    hold, lasting = Hold(), Lasting()
    with hold.running(lasting.guarded):
        hold.at("no moment", lambda: None)  # type: ignore[arg-type] - what kills it
        assert await asyncio.wait_for(lasting.death(), 10) == "hold"
