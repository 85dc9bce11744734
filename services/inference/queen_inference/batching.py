"""Micro-batches without a timer: the requests that wait while a batch runs make the next batch.

Rows are chosen in turn by group and account, so that nobody waits for all that another sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from queen.errors import InvalidQuery, Overloaded
from queen.serving.auth import Account
from queen.serving.lasting.tasks import Lasting
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Pending, Rest
from queen_inference.packing import Packer, Run
from queen_inference.protectee import Array, Outputs, Protectee, SingleArray
from queen_inference.waiting import WaitingRequests

T = TypeVar("T")
INLINE_SECONDS = 0.0005
"""A run this short costs less than handing it to a thread."""

Finish = Callable[[MicroBatch], Awaitable[Sequence[Rest]]]
"""Resolves the requests of a micro-batch, except those in the `Rest`s that it rerun."""


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
        self._waiting = WaitingRequests(limits.queue_rows, limits.account_rows, metrics)
        self._packer = Packer(protectee.expected_seconds, limits.max_batch_rows)
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(limits.batches_in_flight)
        self._finishing: set[asyncio.Task[Any]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def rows(self) -> int:
        """Queries that wait or run, those of callers who have left included."""
        return self._waiting.rows

    def start(self, lasting: Lasting) -> None:
        """Begin to run batches; needs a running event loop."""
        self._loop_task = lasting.start("micro-batches", self._run_batches())

    async def close(self) -> None:
        """Stop; requests that still wait are refused."""
        tasks = [task for task in (self._loop_task, *self._finishing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.refuse_all()

    async def submit(
        self,
        account: Account,
        inputs: Array,
        remaining_seconds: float | None,
        request_id: str = "",
    ) -> SingleArray:
        """Answers (R, C) to queries (R, ...); Overloaded if too many already wait or run."""
        loop = asyncio.get_running_loop()
        expires = np.inf if remaining_seconds is None else loop.time() + remaining_seconds
        answers: asyncio.Future[SingleArray] = loop.create_future()
        self._waiting.append(Pending(account, inputs, expires, perf_counter(), answers, request_id))
        self._wake.set()
        return await answers

    async def _run_batches(self) -> None:
        while True:
            await self._wake.wait()
            await self._slots.acquire()
            # Requests that arrived in the same turn of the event loop get to join.
            await asyncio.sleep(0)
            now = asyncio.get_running_loop().time()
            run = self._packer.next_run(self._waiting, now)
            if not self._waiting:
                self._wake.clear()
            batches = await self._run(run)
            carried = {pending for batch in batches for pending in batch.requests}
            self._waiting.release(
                pending for pending in run if pending.is_begun and pending not in carried
            )
            self._spawn(self._finish_all(batches))

    async def _run(self, run: Run) -> list[MicroBatch]:
        """The requests whose last rows have run."""
        if not run:
            return []
        try:
            inputs, outputs = await self._compute(run)
        except Exception as error:  # noqa: BLE001 - the runtime raises types of its own
            if len(run) == 1:
                next(iter(run)).fail(error)
                return []
        else:
            return _refuse_overflow(_completed(run, inputs, outputs))
        # One request made the run fail: the others must not fail with it.
        return [batch for turn in run.items() for batch in await self._run(dict([turn]))]

    async def _compute(self, run: Run) -> tuple[Array, Outputs]:
        started = perf_counter()
        for pending, rows in run.items():
            if not rows.start:
                self._metrics.stages["queue"].observe(started - pending.arrived)
        inputs = _stack([pending.inputs[rows] for pending, rows in run.items()])
        if self._protectee.expected_seconds(len(inputs)) < INLINE_SECONDS:
            outputs = self._protectee.run(inputs)
        else:
            loop = asyncio.get_running_loop()
            outputs = await loop.run_in_executor(self._executor, self._protectee.run, inputs)
        self._metrics.stages["infer"].observe(perf_counter() - started)
        self._metrics.batch_rows.observe(len(inputs))
        return inputs, outputs

    async def _finish_all(self, batches: list[MicroBatch]) -> None:
        try:
            for batch in batches:
                await self._finish_batch(batch)
        finally:
            self._slots.release()

    async def _finish_batch(self, batch: MicroBatch) -> None:
        try:
            # The next batch does not wait for reversals: its honest accounts would wait for the
            # flagged accounts of this batch. Nor do reversals hold room in the queue.
            for rest in await _guard(batch.requests, self._finish(batch)) or ():
                self._spawn(_guard(rest.requests, rest.work))
        finally:
            self._waiting.release(batch.requests)

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


def _refuse_overflow(batch: MicroBatch | None) -> list[MicroBatch]:
    """Refuse the requests whose inputs, finite but huge, overflow inside the protectee.

    A NaN among the embeddings would cost every neighbor in the batch its verdict, and
    an account must not be able to do that to another.
    """
    if batch is None:
        return []
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


def _completed(run: Run, inputs: Array, outputs: Outputs) -> MicroBatch | None:
    """The requests whose last rows have run, with the outputs of all their rows; None if none."""
    if all(rows.stop - rows.start == pending.rows for pending, rows in run.items()):
        return MicroBatch.of(list(run), inputs, outputs)
    start, completed = 0, []
    for pending, rows in run.items():
        end = start + rows.stop - rows.start
        pending.parts = [*(pending.parts or ()), outputs.part(slice(start, end))]
        if pending.is_begun:
            completed.append(pending)
        start = end
    if not completed:
        return None
    parts = [part for pending in completed for part in pending.parts or ()]
    inputs = _stack([pending.inputs for pending in completed])
    return MicroBatch.of(completed, inputs, Outputs.joined(parts))


def _stack(inputs: list[Array]) -> Array:
    return inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
