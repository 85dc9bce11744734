"""Micro-batches without a timer: a batch is whatever waits while the one before it runs."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from queen.errors import InvalidQuery, Overloaded
from queen.serving.auth import Account
from queen_inference.metrics import Measures
from queen_inference.protectee import Outputs, Protectee

Array = NDArray[Any]
T = TypeVar("T")
MAX_RUN_SECONDS = 0.1
"""Requests join a batch only while its run stays shorter: the first must not wait for ever."""
INLINE_SECONDS = 0.0005
"""A run this short costs less than handing it to a thread."""


@dataclass(slots=True, eq=False)
class Pending:
    """One request on its way: B queries of an account, and where their answers go.

    `expires` is in the event loop's time, infinite without a deadline; the future takes
    the answers (B, C) float32.
    """

    account: Account
    inputs: Array
    expires: float
    arrived: float
    answers: asyncio.Future[NDArray[np.float32]]
    request_id: str = ""
    """The caller's own, if it gave one."""

    @property
    def rows(self) -> int:
        """B."""
        return len(self.inputs)

    def resolve(self, answers: NDArray[np.float32]) -> None:
        """Deliver the answers, unless the caller has gone."""
        if not self.answers.done():
            self.answers.set_result(answers)

    def fail(self, error: BaseException) -> None:
        """Deliver an error, unless the caller has gone."""
        if not self.answers.done():
            self.answers.set_exception(error)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The requests of a micro-batch, their rows stacked, and what the protectee gave."""

    batch: Sequence[Pending]
    inputs: Array
    outputs: Outputs

    def part(self, rows: NDArray[np.bool_]) -> Run:
        """The requests whose rows are chosen: all rows of a request, or none."""
        starts = np.cumsum([0, *(pending.rows for pending in self.batch[:-1])])
        batch = [one for one, start in zip(self.batch, starts, strict=True) if rows[start]]
        return Run(batch, self.inputs[rows], self.outputs.take(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """Requests of a run that are not answered yet, and what resolves them."""

    requests: Sequence[Pending]
    work: Coroutine[Any, Any, None]


Finish = Callable[[Run], Awaitable[Rest | None]]
"""Resolves the requests of a run, except those of the rest that it returns."""


@dataclass(frozen=True)
class Limits:
    """Bounds, in rows, of a batch, of everything that waits or runs, and of one account."""

    max_batch_rows: int
    queue_rows: int
    account_rows: int
    batches_in_flight: int


class MicroBatcher:
    """Runs the protectee over waiting requests, and their finishing beside the next run."""

    def __init__(
        self, protectee: Protectee, finish: Finish, limits: Limits, measures: Measures
    ) -> None:
        self._protectee = protectee
        self._finish = finish
        self._limits = limits
        self._measures = measures
        self._waiting: deque[Pending] = deque()
        self._rows = 0
        self._account_rows: Tally[str] = Tally()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(limits.batches_in_flight)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="protectee")
        self._finishing: set[asyncio.Task[Any]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def rows(self) -> int:
        """Queries that wait or run, also of callers who have left."""
        return self._rows

    def start(self) -> None:
        """Begin to take batches; needs a running event loop."""
        self._loop_task = asyncio.create_task(self._take_batches())

    async def close(self) -> None:
        """Stop; whatever still waits is refused."""
        tasks = [task for task in (self._loop_task, *self._finishing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pending in self._waiting:
            pending.fail(Overloaded("the service is shutting down"))
        self._executor.shutdown()

    async def submit(
        self,
        account: Account,
        inputs: Array,
        remaining_seconds: float | None,
        request_id: str = "",
    ) -> NDArray[np.float32]:
        """Answers (B, C) to queries (B, ...); Overloaded if too many already wait or run."""
        rows = len(inputs)
        self._admit(account, rows)
        loop = asyncio.get_running_loop()
        expires = np.inf if remaining_seconds is None else loop.time() + remaining_seconds
        answers: asyncio.Future[NDArray[np.float32]] = loop.create_future()
        pending = Pending(account, inputs, expires, perf_counter(), answers, request_id)
        self._waiting.append(pending)
        self._wake.set()
        return await answers

    def _admit(self, account: Account, rows: int) -> None:
        if self._rows + rows > self._limits.queue_rows:
            raise Overloaded(
                f"expected at most {self._limits.queue_rows} queries at once, got more; "
                "retry after the delay"
            )
        if self._account_rows[account.account_id] + rows > self._limits.account_rows:
            raise Overloaded(
                f"expected at most {self._limits.account_rows} queries of one account at once, "
                "got more; retry after the delay"
            )
        self._rows += rows
        self._account_rows[account.account_id] += rows

    def _release(self, requests: Iterable[Pending]) -> None:
        """Give back the places of requests, each of them once.

        That is when the work on them is over, not when the caller leaves: who leaves early
        and comes again would have no bound.
        """
        for pending in requests:
            account = pending.account.account_id
            self._rows -= pending.rows
            self._account_rows[account] -= pending.rows
            if not self._account_rows[account]:
                del self._account_rows[account]

    async def _take_batches(self) -> None:
        while True:
            await self._wake.wait()
            await self._slots.acquire()
            # Requests that arrived in the same turn of the event loop get to join.
            await asyncio.sleep(0)
            batch = self._take()
            runs = await self._run(batch)
            carried = {pending for run in runs for pending in run.batch}
            self._release(pending for pending in batch if pending not in carried)
            self._spawn(self._finish_runs(runs))

    def _take(self) -> list[Pending]:
        """The next requests of one shape that fit a batch, without the abandoned ones."""
        batch: list[Pending] = []
        rows, now = 0, asyncio.get_running_loop().time()
        while self._waiting:
            pending = self._waiting[0]
            if not self._drop(pending, now):
                if batch and not self._joins(pending, batch[0], rows):
                    break
                batch.append(pending)
                rows += pending.rows
            else:
                self._release([pending])
            self._waiting.popleft()
        if not self._waiting:
            self._wake.clear()
        return batch

    def _joins(self, pending: Pending, first: Pending, rows: int) -> bool:
        total = rows + pending.rows
        return (
            total <= self._limits.max_batch_rows
            and pending.inputs.shape[1:] == first.inputs.shape[1:]
            and self._protectee.expected_seconds(total) <= MAX_RUN_SECONDS
        )

    def _drop(self, pending: Pending, now: float) -> bool:
        if pending.answers.done():
            self._measures.dropped["cancelled"].inc()
            return True
        if pending.expires <= now:
            self._measures.dropped["expired"].inc()
            pending.fail(Overloaded("the deadline passed while the request waited"))
            return True
        return False

    async def _run(self, batch: list[Pending]) -> list[Run]:
        if not batch:
            return []
        try:
            return _refuse_overflow(await self._run_once(batch))
        except Exception as error:  # noqa: BLE001 - the runtime raises types of its own
            if len(batch) == 1:
                batch[0].fail(error)
                return []
        # One request spoiled the run: the others must not pay for it.
        runs = []
        for pending in batch:
            runs += await self._run([pending])
        return runs

    async def _run_once(self, batch: list[Pending]) -> Run:
        started = perf_counter()
        for pending in batch:
            self._measures.stages["queue"].observe(started - pending.arrived)
        inputs = _stack(batch)
        if self._protectee.expected_seconds(len(inputs)) < INLINE_SECONDS:
            outputs = self._protectee.run(inputs)
        else:
            loop = asyncio.get_running_loop()
            outputs = await loop.run_in_executor(self._executor, self._protectee.run, inputs)
        self._measures.stages["infer"].observe(perf_counter() - started)
        self._measures.batch_rows.observe(len(inputs))
        return Run(batch, inputs, outputs)

    async def _finish_runs(self, runs: list[Run]) -> None:
        try:
            for run in runs:
                await self._finish_run(run)
        finally:
            self._slots.release()

    async def _finish_run(self, run: Run) -> None:
        later: frozenset[Pending] = frozenset()
        try:
            rest = await _guard(run.batch, self._finish(run))
            if rest is not None:
                # The next batch does not wait for reversals: the honest accounts in it
                # would pay for the flagged ones here.
                later = frozenset(rest.requests)
                self._spawn(self._finish_rest(rest))
        finally:
            self._release(pending for pending in run.batch if pending not in later)

    async def _finish_rest(self, rest: Rest) -> None:
        try:
            await _guard(rest.requests, rest.work)
        finally:
            self._release(rest.requests)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        # The event loop itself keeps no strong reference to a task.
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)


async def _guard(requests: Sequence[Pending], finishing: Awaitable[T]) -> T | None:
    try:
        return await finishing
    except asyncio.CancelledError:
        for pending in requests:
            pending.fail(Overloaded("the service is shutting down"))
        raise
    except Exception as error:  # noqa: BLE001 - goes to the callers, who log it
        for pending in requests:
            pending.fail(error)
        return None


def _refuse_overflow(run: Run) -> list[Run]:
    """Refuse the requests whose inputs, finite but huge, overflow inside the protectee.

    A NaN among the embeddings would cost every neighbour in the batch its verdict, and
    one account must not be able to do that to another.
    """
    finite = np.logical_and.reduce(
        [np.isfinite(array).all(axis=1) for array in run.outputs.arrays()]
    )
    if finite.all():
        return [run]
    keep, start = np.zeros(len(finite), bool), 0
    for pending in run.batch:
        rows = slice(start, start + pending.rows)
        start = rows.stop
        if finite[rows].all():
            keep[rows] = True
        else:
            pending.fail(
                InvalidQuery(
                    "expected inputs that the model can compute with, got numbers so large "
                    "that its answer is not finite",
                    field="inputs[0]",
                )
            )
    return [run.part(keep)] if keep.any() else []


def _stack(batch: list[Pending]) -> Array:
    if len(batch) == 1:
        return batch[0].inputs
    return np.concatenate([pending.inputs for pending in batch])
