"""Micro-batches on their way to the thread of the engine and back, counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from prometheus_client import generate_latest
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.metrics import SensitivityMetrics
from queen_sensitivity.servicer import Dispatcher

from queen.errors import Overloaded
from queen.method.ledger import Verdict
from queen.serving.metrics import Metrics
from tests.unit.sensitivity.regions import (
    StoreWithEvents,
    batch_of,
    book_of,
    disc,
    queries_of,
    small_geometry,
)

GEOMETRY = small_geometry()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """The engine's thread."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def center(account: str = "a") -> Queries:
    """A query at a center: it is recorded once."""
    return queries_of(GEOMETRY.cluster_centers[:1], np.zeros(1, int), accounts=(account,))


def test_batches_are_assessed_in_order_and_counted(thread: ThreadPoolExecutor) -> None:
    """The second of two equal batches is covered by the first."""
    metrics = Metrics()
    book = book_of(GEOMETRY, MemoryLedgerStore())
    dispatcher = Dispatcher(book, thread, SensitivityMetrics(metrics), max_waiting=8)

    async def both() -> list[int]:
        answers = await asyncio.gather(dispatcher.assess(center()), dispatcher.assess(center()))
        return [int(answer.verdicts[0]) for answer in answers]

    assert asyncio.run(both()) == [Verdict.RECORD, Verdict.PRESERVE]
    shown = generate_latest(metrics.registry).decode()
    assert 'queen_decisions_total{decision="record"} 1.0' in shown
    assert "queen_accounts_tracked 1.0" in shown
    assert "queen_waiting_calls 0.0" in shown


def test_verdicts_are_counted(thread: ThreadPoolExecutor) -> None:
    """Each verdict of a batch once."""
    metrics = Metrics()
    book = book_of(GEOMETRY, MemoryLedgerStore())
    dispatcher = Dispatcher(book, thread, SensitivityMetrics(metrics), max_waiting=8)
    batch = batch_of([AccountPolicy("a")], disc(GEOMETRY, 2, 1, 60), np.full(60, 2))
    assessment = asyncio.run(dispatcher.assess(batch))
    value = metrics.registry.get_sample_value
    for verdict in Verdict:
        expected = np.count_nonzero(assessment.verdicts == verdict)
        assert value("queen_decisions_total", {"decision": verdict.name.lower()}) == expected


def test_too_many_waiting_calls_are_refused(thread: ThreadPoolExecutor) -> None:
    """While the store holds up the engine; once it goes on, there is room again."""
    released = threading.Event()
    store = StoreWithEvents(MemoryLedgerStore())

    def hold(_: object) -> None:
        released.wait(10)

    store.before_append = hold
    book = book_of(GEOMETRY, store)
    dispatcher = Dispatcher(book, thread, SensitivityMetrics(Metrics()), max_waiting=1)

    async def crowd() -> Verdict:
        first = asyncio.create_task(dispatcher.assess(center()))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="at most 1 waiting"):
            await dispatcher.assess(center("b"))
        released.set()
        await first
        return Verdict(int((await dispatcher.assess(center("b"))).verdicts[0]))

    assert asyncio.run(crowd()) is Verdict.RECORD


def test_a_forgotten_owner_is_read_again(thread: ThreadPoolExecutor) -> None:
    """An erasure that the engine was told of holds for the very next batch."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    dispatcher = Dispatcher(book, thread, SensitivityMetrics(Metrics()), max_waiting=8)
    asyncio.run(dispatcher.assess(center()))
    store.erase("a", [GEOMETRY.digest], 1)
    dispatcher.forget("a")
    assert asyncio.run(dispatcher.assess(center())).verdicts.tolist() == [Verdict.RECORD]
