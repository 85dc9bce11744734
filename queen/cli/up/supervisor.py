"""Processes that are started, kept alive and stopped together."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from operator import not_
from time import monotonic
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_exponential

from queen.cli.refusal import Refusal
from queen.cli.up.child import Child, ending
from queen.cli.up.stopping import StopRequests

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 10.0
SETTLED_SECONDS = 30.0
"""After a process that served this long, the delay before a restart is the first one again."""


class Supervisor:
    """Starts children in groups, restarts those that die, stops all of them.

    `say` gets lines for the operator; `changed` is called when a restarted child serves
    again, with another process id. `clock`, in seconds, tells how long a child has served.
    """

    def __init__(
        self,
        requests: StopRequests,
        say: Callable[[str], None],
        changed: Callable[[], None],
        *,
        start_seconds: float = 120.0,
        stop_seconds: float = 20.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._requests = requests
        self._say = say
        self._changed = changed
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._clock = clock
        self._groups: list[Sequence[Child]] = []

    @property
    def children(self) -> list[Child]:
        """All children, in the order in which they were started."""
        return [child for group in self._groups for child in group]

    async def start(self, group: Sequence[Child]) -> bool:
        """Start the children of a group together and wait until all serve.

        False if the operator asked to stop meanwhile. Raises Refusal, in the words of the
        child, if a child ends or does not serve in time.
        """
        self._groups.append(group)
        for child in group:
            await child.start()
        return await self._unless_stopped(
            asyncio.gather(*(self._require_serving(child) for child in group))
        )

    async def watch(self) -> None:
        """Restart children that end, until the operator asks to stop."""
        lives = [self._keep_alive(child) for child in self.children]
        await self._unless_stopped(asyncio.gather(*lives))

    async def stop(self) -> bool:
        """Stop the groups, the last one first; True if no child had to be killed.

        A further request to stop ends the waiting.
        """
        asked = self._requests.count
        clean = [await self._stop_group(group, asked) for group in reversed(self._groups)]
        return all(clean)

    async def _unless_stopped(self, work: asyncio.Future[list[None]]) -> bool:
        """Wait for `work`, which a request to stop cancels; whether it was done."""
        stopping = asyncio.ensure_future(self._requests.beyond(0))
        either: list[asyncio.Future[Any]] = [work, stopping]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return False
            work.result()
            return True
        finally:
            for future in either:
                future.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    async def _require_serving(self, child: Child) -> None:
        try:
            async with asyncio.timeout(self._start_seconds):
                is_serving = await child.serves()
        except TimeoutError:
            raise _failure(child, f"it did not serve within {self._start_seconds:g} s") from None
        if not is_serving:
            raise _failure(child, child.last_words())

    async def _keep_alive(self, child: Child) -> None:
        """Start a child whenever it has ended, after longer and longer delays until it stays up."""
        while True:
            restarting = AsyncRetrying(
                retry=retry_if_result(not_),
                wait=wait_exponential(FIRST_DELAY_SECONDS, max=LONGEST_DELAY_SECONDS),
                before_sleep=lambda state: self._announce(child, state),
            )
            async for attempt in restarting:
                has_settled = False
                # The first attempt of the retry loop is the process that runs already.
                if attempt.retry_state.attempt_number == 1:
                    await child.ended()
                else:
                    has_settled = await self._live_again(child)
                attempt.retry_state.set_result(has_settled)

    async def _live_again(self, child: Child) -> bool:
        """Start the child and wait until it has ended; whether it served for long."""
        await child.start()
        began = self._clock()
        if await child.serves():
            self._say(f"{child.name} serves again")
            self._changed()
            await child.ended()
        return child.is_serving and self._clock() - began > SETTLED_SECONDS

    def _announce(self, child: Child, state: RetryCallState) -> None:
        self._say(f"{child.name} {_why(child)}; starting it again in {state.upcoming_sleep:g} s")

    async def _stop_group(self, group: Sequence[Child], asked: int) -> bool:
        for child in group:
            child.send(signal.SIGTERM)
        ending_all = asyncio.gather(*(child.ended() for child in group))
        impatient = asyncio.ensure_future(self._requests.beyond(asked))
        either: list[asyncio.Future[Any]] = [ending_all, impatient]
        await asyncio.wait(either, timeout=self._stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        impatient.cancel()
        late = [child for child in group if child.is_running]
        for child in late:
            child.send(signal.SIGKILL)
            self._say(f"{child.name} had not stopped yet and was killed")
        await ending_all
        return not late


def _why(child: Child) -> str:
    """Words for the end of a child: its own last words if it ended by itself before it served."""
    code = child.exit_code
    if code is None or code < 0 or child.is_serving:
        return ending(code)
    return f"did not start ({child.last_words()})"


def _failure(child: Child, words: str) -> Refusal:
    # A negative code is a signal, which cannot be an exit code of `queen up`.
    code = child.exit_code
    service = child.name.partition("-")[0]
    text = words.removeprefix("queen ").removeprefix(f"{service}: ")
    return Refusal(
        f"{child.name} did not start: {text} (log: {child.log})",
        exit_code=code if code is not None and code > 0 else 1,
    )
