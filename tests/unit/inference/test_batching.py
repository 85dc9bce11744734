"""The micro-batcher over a real protectee."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from queen_inference.batching import Limits, MicroBatcher
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Rest
from queen_inference.protectee import Outputs, Protectee

from queen.errors import InvalidQuery, Overloaded
from queen.method.contracts import Profile
from queen.serving.auth import Account
from queen.serving.lasting.tasks import Lasting
from tests.bundles import SmallBundle
from tests.unit.inference.conftest import Counted

LIMITS = Limits(max_batch_rows=8, queue_rows=20, account_rows=12, batches_in_flight=1)


class Finisher:
    """Answers with the probabilities, once the gate is open; remembers the batches."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.sizes: list[list[int]] = []

    async def finish(self, batch: MicroBatch) -> list[Rest]:
        """Resolve all requests."""
        self.sizes.append([pending.rows for pending in batch.requests])
        await self.gate.wait()
        for pending, rows in batch:
            pending.resolve(batch.outputs.probabilities[rows])
        return []


@asynccontextmanager
async def batching(
    protectee: Any, finisher: Finisher, metrics: InferenceMetrics
) -> AsyncIterator[MicroBatcher]:
    """A started batcher."""
    with ThreadPoolExecutor(1) as executor:
        batcher = MicroBatcher(protectee, executor, finisher.finish, LIMITS, metrics)
        batcher.start(Lasting())
        try:
            yield batcher
        finally:
            await batcher.close()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_waits_joins_the_next_batch(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """The first request goes alone, those that come meanwhile go together up to the bound."""
    finisher = Finisher()
    async with batching(protectee, finisher, metrics) as batcher:
        first = asyncio.create_task(batcher.submit(account, small.inputs[:1], None))
        await settle()
        rest = [
            asyncio.create_task(batcher.submit(account, small.inputs[row : row + 3], None))
            for row in (1, 4, 7)
        ]
        await settle()
        finisher.gate.set()
        answers = np.concatenate([await task for task in (first, *rest)])
    assert finisher.sizes == [[1], [3, 3], [3]]
    expected = protectee.run(small.inputs[:10]).probabilities
    assert answers.tobytes() == expected.tobytes()
    assert batcher.rows == 0


async def test_cancelled_and_expired_requests_are_dropped_before_the_run(
    small: SmallBundle,
    protectee: Protectee,
    metrics: InferenceMetrics,
    account: Account,
    counted: Counted,
) -> None:
    """A caller that left or is too late costs no run, and gives its place back."""
    finisher = Finisher()
    async with batching(protectee, finisher, metrics) as batcher:
        first = asyncio.create_task(batcher.submit(account, small.inputs[:1], None))
        await settle()
        gone = asyncio.create_task(batcher.submit(account, small.inputs[:2], None))
        late = asyncio.create_task(batcher.submit(account, small.inputs[:3], 0.001))
        good = asyncio.create_task(batcher.submit(account, small.inputs[:4], 60.0))
        await settle()
        gone.cancel()
        await asyncio.sleep(0.005)
        finisher.gate.set()
        assert len(await first) == 1
        assert len(await good) == 4
        with pytest.raises(Overloaded, match="deadline"):
            await late
    assert finisher.sizes == [[1], [4]]
    assert batcher.rows == 0
    dropped = "queen_dropped_requests_total"
    counts = {reason: counted(dropped, reason=reason) for reason in metrics.dropped}
    others = ("gave_way", "hurried", "overloaded", "over_budget", "ledger_full", "ledger_damaged")
    rest = dict.fromkeys(others, 0)
    assert counts == {"cancelled": 1, "expired": 1, **rest}


async def test_callers_who_leave_hold_their_room_until_the_work_is_over(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """A cancelled request makes room neither in the queue nor in a run; its rest holds none."""
    rest_gate = asyncio.Event()

    class Resting(Finisher):
        async def finish(self, batch: MicroBatch) -> list[Rest]:
            await self.gate.wait()
            for pending in batch.requests[1:]:
                pending.resolve(batch.outputs.probabilities[: pending.rows])
            return [Rest(batch.requests[:1], wait_for_gate())]

    async def wait_for_gate() -> None:
        await rest_gate.wait()

    async def refused() -> None:
        with pytest.raises(Overloaded):
            await batcher.submit(account, small.inputs[:1], None)

    finisher = Resting()
    async with batching(protectee, finisher, metrics) as batcher:
        running = asyncio.create_task(batcher.submit(account, small.inputs[:4], None))
        await settle()
        waiting = asyncio.create_task(batcher.submit(account, small.inputs[:8], None))
        await settle()
        running.cancel()
        waiting.cancel()
        await settle()
        assert batcher.rows == 12
        await refused()
        finisher.gate.set()
        await settle()
        # The one that waited is dropped; the other's rest has a bound of its own.
        assert batcher.rows == 0
        rest_gate.set()
        waiting = asyncio.create_task(batcher.submit(account, small.inputs[:8], None))
        await settle()
        assert batcher.rows == 0
        waiting.cancel()


async def test_a_full_queue_refuses_and_then_recovers(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """The account's bound comes first, then that of the queue; both free up with the answers."""
    other = Account("bob", Profile.PAPER, "hash-of-bob")
    finisher = Finisher()
    async with batching(protectee, finisher, metrics) as batcher:
        waiting = [
            asyncio.create_task(batcher.submit(account, small.inputs[:6], None)) for _ in range(2)
        ]
        await settle()
        with pytest.raises(Overloaded, match="12 queries of one account"):
            await batcher.submit(account, small.inputs[:1], None)
        waiting.append(asyncio.create_task(batcher.submit(other, small.inputs[:8], None)))
        await settle()
        with pytest.raises(Overloaded, match="20 queries at once"):
            await batcher.submit(other, small.inputs[:4], None)
        finisher.gate.set()
        await asyncio.gather(*waiting)
        assert len(await batcher.submit(account, small.inputs[:1], None)) == 1


async def test_the_newest_request_of_who_holds_most_gives_way(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """In a full queue a small account gets in, and the refusal is that of a full queue."""
    other, third = (Account(name, Profile.PAPER, name) for name in ("bob", "carol"))
    finisher = Finisher()
    async with batching(protectee, finisher, metrics) as batcher:
        running, oldest, newest, others, late = [
            asyncio.create_task(batcher.submit(who, small.inputs[:rows], None))
            for who, rows in [(account, 4), (account, 4), (account, 4), (other, 8), (third, 2)]
        ]
        with pytest.raises(Overloaded, match="20 queries at once"):
            await newest
        assert batcher.rows == 18
        finisher.gate.set()
        assert [len(await task) for task in (running, oldest, others, late)] == [4, 4, 8, 2]


async def test_a_request_larger_than_a_run_runs_in_parts(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """Its answers are those of one run, and it is finished once, as a whole."""
    finisher = Finisher()
    finisher.gate.set()
    async with batching(protectee, finisher, metrics) as batcher:
        answers = await batcher.submit(account, small.inputs[:12], None)
    assert finisher.sizes == [[12]]
    assert answers.tobytes() == protectee.run(small.inputs[:12]).probabilities.tobytes()


async def test_a_finish_that_is_cancelled_gives_all_room_back(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """Its requests end with an error, and their places are free again."""

    class Cut(Finisher):
        async def finish(self, batch: MicroBatch) -> list[Rest]:
            if not self.sizes:
                self.sizes.append([])
                raise asyncio.CancelledError
            return await super().finish(batch)

    finisher = Cut()
    finisher.gate.set()
    async with batching(protectee, finisher, metrics) as batcher:
        with pytest.raises(Overloaded):
            await batcher.submit(account, small.inputs[:12], None)
        assert batcher.rows == 0
        assert len(await batcher.submit(account, small.inputs[:12], None)) == 12


class Poisoned:
    """A protectee that fails on batches which hold a marked row."""

    def __init__(self, protectee: Protectee, seconds: float) -> None:
        self._protectee = protectee
        self.expected_seconds: Callable[[int], float] = lambda _rows: seconds

    def run(self, rows: np.ndarray[Any, Any]) -> Outputs:
        """Outputs, or the runtime's kind of error."""
        if (rows == 1234).any():
            raise RuntimeError("the runtime says no")
        return self._protectee.run(rows)


@pytest.mark.parametrize("seconds", [0.0, 0.01], ids=["inline", "thread"])
async def test_a_failing_request_fails_alone(
    small: SmallBundle,
    protectee: Protectee,
    metrics: InferenceMetrics,
    account: Account,
    seconds: float,
) -> None:
    """The neighbors of a request that the runtime refuses get their answers."""
    finisher = Finisher()
    finisher.gate.set()
    poison = np.full((1, small.inputs.shape[1]), 1234, np.float32)
    async with batching(Poisoned(protectee, seconds), finisher, metrics) as batcher:
        results = await asyncio.gather(
            batcher.submit(account, small.inputs[:2], None),
            batcher.submit(account, poison, None),
            batcher.submit(account, small.inputs[2:4], None),
            return_exceptions=True,
        )
        assert isinstance(results[1], RuntimeError)
        expected = protectee.run(small.inputs[:4]).probabilities
        assert results[0].tobytes() + results[2].tobytes() == expected.tobytes()
        # And the batcher goes on.
        assert len(await batcher.submit(account, small.inputs[:1], None)) == 1


async def test_a_failing_finish_fails_its_requests_only(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """An error while answering reaches the callers of that batch; the next one is served."""

    class Flaky(Finisher):
        async def finish(self, batch: MicroBatch) -> list[Rest]:
            if not self.sizes:
                self.sizes.append([])
                raise ZeroDivisionError
            return await super().finish(batch)

    finisher = Flaky()
    finisher.gate.set()
    async with batching(protectee, finisher, metrics) as batcher:
        with pytest.raises(ZeroDivisionError):
            await batcher.submit(account, small.inputs[:1], None)
        assert len(await batcher.submit(account, small.inputs[:1], None)) == 1


async def test_an_overflow_inside_the_model_costs_its_own_request_only(
    small: SmallBundle, protectee: Protectee, metrics: InferenceMetrics, account: Account
) -> None:
    """Finite inputs whose answer is not are refused; their neighbors in the batch are served."""
    finisher = Finisher()
    huge = np.full_like(small.inputs[:1], 3e38)
    huge[:, ::2] *= -1
    async with batching(protectee, finisher, metrics) as batcher:
        tasks = [
            asyncio.create_task(batcher.submit(account, rows, None))
            for rows in (small.inputs[:2], huge, small.inputs[2:3])
        ]
        finisher.gate.set()
        first, refused, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(refused, InvalidQuery)
    assert isinstance(first, np.ndarray)
    assert isinstance(last, np.ndarray)
    together = protectee.run(small.inputs[:3]).probabilities
    assert np.array_equal(np.concatenate([first, last]), together)
