"""Micro-batches without a timer: the requests that wait while a batch runs make the next batch."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from queen.errors import InvalidQuery, Overloaded
from queen.serving.auth import Account
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Pending, Rest
from queen_inference.protectee import Array, Protectee, SingleArray

T = TypeVar("T")
MAX_RUN_SECONDS = 0.1
"""Requests join a batch only while its run stays shorter than this: long runs delay the first."""
INLINE_SECONDS = 0.0005
"""A run this short costs less than handing it to a thread."""

Finish = Callable[[MicroBatch], Awaitable[Rest | None]]
"""Resolves the requests of a micro-batch, except those in the `Rest` that it returns."""


@dataclass(frozen=True)
class Limits:
    """Most rows in a batch, in the queue and of an account in it, and most batches at once."""

    max_batch_rows: int
    queue_rows: int
    account_rows: int
    batches_in_flight: int


class MicroBatcher:
    """Runs the protectee over waiting requests, and finishes them beside the next run.

    `executor` has a single thread, on which the longer runs compute.
    """

    def __init__(
        self,
        protectee: Protectee,
        executor: Executor,
        finish: Finish,
        limits: Limits,
        metrics: InferenceMetrics,
    ) -> None:
        self._protectee = protectee
        self._executor = executor
        self._finish = finish
        self._limits = limits
        self._metrics = metrics
        self._waiting: deque[Pending] = deque()
        self._rows = 0
        self._account_rows: Tally[str] = Tally()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(limits.batches_in_flight)
        self._finishing: set[asyncio.Task[Any]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def rows(self) -> int:
        """Queries that wait or run, those of callers who have left included."""
        return self._rows

    def start(self) -> None:
        """Begin to run batches; needs a running event loop."""
        self._loop_task = asyncio.create_task(self._run_batches())

    async def close(self) -> None:
        """Stop; requests that still wait are refused."""
        tasks = [task for task in (self._loop_task, *self._finishing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pending in self._waiting:
            pending.fail(Overloaded("the service is shutting down"))

    async def submit(
        self,
        account: Account,
        inputs: Array,
        remaining_seconds: float | None,
        request_id: str = "",
    ) -> SingleArray:
        """Answers (R, C) to queries (R, ...); Overloaded if too many already wait or run."""
        self._admit(account, len(inputs))
        loop = asyncio.get_running_loop()
        expires = np.inf if remaining_seconds is None else loop.time() + remaining_seconds
        answers: asyncio.Future[SingleArray] = loop.create_future()
        self._waiting.append(Pending(account, inputs, expires, perf_counter(), answers, request_id))
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
        """Give back the room that requests hold in the queue, once for each request.

        They hold it until the work on them is over, not until the caller leaves: callers who
        leave early and come again would have no bound.
        """
        for pending in requests:
            account = pending.account.account_id
            self._rows -= pending.rows
            self._account_rows[account] -= pending.rows
            if not self._account_rows[account]:
                del self._account_rows[account]

    async def _run_batches(self) -> None:
        while True:
            await self._wake.wait()
            await self._slots.acquire()
            # Requests that arrived in the same turn of the event loop get to join.
            await asyncio.sleep(0)
            requests = self._next_requests()
            batches = await self._run(requests)
            carried = {pending for batch in batches for pending in batch.requests}
            self._release(pending for pending in requests if pending not in carried)
            self._spawn(self._finish_all(batches))

    def _next_requests(self) -> list[Pending]:
        """The next requests of one shape that fit a batch, without the abandoned ones."""
        requests: list[Pending] = []
        rows, now = 0, asyncio.get_running_loop().time()
        while self._waiting:
            pending = self._waiting[0]
            if not self._drop(pending, now):
                if requests and not self._joins(pending, requests[0], rows):
                    break
                requests.append(pending)
                rows += pending.rows
            else:
                self._release([pending])
            self._waiting.popleft()
        if not self._waiting:
            self._wake.clear()
        return requests

    def _joins(self, pending: Pending, first: Pending, rows: int) -> bool:
        total = rows + pending.rows
        return (
            total <= self._limits.max_batch_rows
            and pending.inputs.shape[1:] == first.inputs.shape[1:]
            and self._protectee.expected_seconds(total) <= MAX_RUN_SECONDS
        )

    def _drop(self, pending: Pending, now: float) -> bool:
        if pending.answers.done():
            self._metrics.dropped["cancelled"].inc()
            return True
        if pending.expires <= now:
            self._metrics.dropped["expired"].inc()
            pending.fail(Overloaded("the deadline passed while the request waited"))
            return True
        return False

    async def _run(self, requests: list[Pending]) -> list[MicroBatch]:
        if not requests:
            return []
        try:
            return _refuse_overflow(await self._run_together(requests))
        except Exception as error:  # noqa: BLE001 - the runtime raises types of its own
            if len(requests) == 1:
                requests[0].fail(error)
                return []
        # One request made the run fail: the others must not fail with it.
        return [batch for pending in requests for batch in await self._run([pending])]

    async def _run_together(self, requests: list[Pending]) -> MicroBatch:
        started = perf_counter()
        for pending in requests:
            self._metrics.stages["queue"].observe(started - pending.arrived)
        inputs = _stack(requests)
        if self._protectee.expected_seconds(len(inputs)) < INLINE_SECONDS:
            outputs = self._protectee.run(inputs)
        else:
            loop = asyncio.get_running_loop()
            outputs = await loop.run_in_executor(self._executor, self._protectee.run, inputs)
        self._metrics.stages["infer"].observe(perf_counter() - started)
        self._metrics.batch_rows.observe(len(inputs))
        return MicroBatch.of(requests, inputs, outputs)

    async def _finish_all(self, batches: list[MicroBatch]) -> None:
        try:
            for batch in batches:
                await self._finish_batch(batch)
        finally:
            self._slots.release()

    async def _finish_batch(self, batch: MicroBatch) -> None:
        later: frozenset[Pending] = frozenset()
        try:
            rest = await _guard(batch.requests, self._finish(batch))
            if rest is not None:
                # The next batch does not wait for reversals: its honest accounts would wait for the
                # flagged accounts of this batch.
                later = frozenset(rest.requests)
                self._spawn(self._finish_rest(rest))
        finally:
            self._release(pending for pending in batch.requests if pending not in later)

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
    """The result of some work; if it fails, its error goes to the requests."""
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


def _refuse_overflow(batch: MicroBatch) -> list[MicroBatch]:
    """Refuse the requests whose inputs, finite but huge, overflow inside the protectee.

    A NaN among the embeddings would cost every neighbor in the batch its verdict, and
    an account must not be able to do that to another.
    """
    finite = np.logical_and.reduce(
        [np.isfinite(array).all(axis=1) for array in batch.outputs.arrays()]
    )
    if finite.all():
        return [batch]
    is_kept = [bool(finite[rows].all()) for _, rows in batch]
    for pending, kept in zip(batch.requests, is_kept, strict=True):
        if not kept:
            pending.fail(
                InvalidQuery(
                    "expected inputs that the model can compute with, got numbers so large "
                    "that its answer is not finite",
                    field="inputs[0]",
                )
            )
    return [batch.part(is_kept)] if any(is_kept) else []


def _stack(requests: list[Pending]) -> Array:
    if len(requests) == 1:
        return requests[0].inputs
    return np.concatenate([pending.inputs for pending in requests])
