"""Supervision of the tasks and threads that live as long as the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from queen.serving.logging import logger


class Lasting:
    """Starts work that never ends by itself; the first death of such work ends the process.

    A death is an exception, or a return: work that ends because it is cancelled has not died. The
    process that serves waits for `death`, drains and exits with an error, so that whoever started
    it starts it again. A watcher that is dead would leave it serving from what it knew once.
    """

    def __init__(self) -> None:
        self._died = asyncio.Event()
        self._dead = ""
        self._log = logger("lasting")

    @property
    def dead(self) -> str:
        """Name of the work that died first; empty while all of it lives."""
        return self._dead

    async def death(self) -> str:
        """Wait until some work dies; its name."""
        await self._died.wait()
        return self._dead

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of its own for `work`; whoever starts it cancels it. Needs a running event loop.

        Keep the task: the event loop itself holds no strong reference to it.
        """
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(partial(self._ended, name))
        return task

    @asynccontextmanager
    async def running(self, name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Run `work` beside the block, and cancel it at the end of the block."""
        task = self.start(name, work)
        try:
            yield
        finally:
            await stop(task)

    def guarded(self, name: str, work: Callable[[], None]) -> Callable[[], None]:
        """`work` for a thread that lives as long as the process; an exception is its death.

        A return is none: a thread ends by returning. Needs a running event loop.
        """
        loop = asyncio.get_running_loop()

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the edge of a thread: it is told, not lost
                # The loop may be closed already if the thread dies while the process exits.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._die, name, error)

        return run

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._die(name, task.exception())

    def _die(self, name: str, error: BaseException | None) -> None:
        self._log.error("work that never ends has died", work=name, exc_info=error)
        self._dead = self._dead or name
        self._died.set()


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end, however it ends."""
    task.cancel()
    # What it died of was logged when it died.
    await asyncio.wait([task])
