"""Work that never ends by itself, and what happens when it does."""

from __future__ import annotations

import asyncio
import threading

import pytest

from queen.serving.lasting.tasks import Lasting


async def fail() -> None:
    """Work that dies of an error."""
    raise ValueError("a day is out of range")


async def end() -> None:
    """Work that dies by returning."""


@pytest.mark.parametrize("work", [fail, end])
async def test_work_that_ends_is_a_death(work, capsys: pytest.CaptureFixture[str]) -> None:
    """By an exception as by a return: it has a name, and it stands in the log."""
    lasting = Lasting()
    async with asyncio.timeout(10), lasting.running("watcher", work()):
        assert await lasting.death() == "watcher"
    assert lasting.dead == "watcher"
    assert "watcher" in capsys.readouterr().out


async def test_work_that_is_stopped_has_not_died() -> None:
    """The end of its block cancels it."""
    lasting, is_stopped = Lasting(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            is_stopped.set()

    async with lasting.running("watcher", work()):
        await asyncio.sleep(0)
    assert is_stopped.is_set()
    assert lasting.dead == ""


async def test_the_first_death_is_told() -> None:
    """A later one may follow from it."""
    lasting = Lasting()
    tasks = [lasting.start(name, end()) for name in ("first", "second")]
    await asyncio.wait(tasks)
    await asyncio.sleep(0)
    assert await lasting.death() == "first"


async def test_a_thread_dies_of_an_exception_only() -> None:
    """It ends by returning."""
    lasting = Lasting()

    def break_down() -> None:
        raise OSError("no space")

    for name, work in (("quiet", lambda: None), ("loud", break_down)):
        thread = threading.Thread(target=lasting.guarded(name, work))
        thread.start()
        await asyncio.to_thread(thread.join)
    async with asyncio.timeout(10):
        assert await lasting.death() == "loud"
