"""Turns, in which calls share the thread that runs the shadow models."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from queen_perturber.metrics import PerturberMetrics
from queen_perturber.reversal import Flagged
from queen_perturber.turns import TURN_SECONDS, TurnLength, Turns

from queen.errors import Overloaded
from queen.serving.metrics import Metrics
from tests.unit.perturber.flagged import flagged_of, small_bundle


class Stopwatch:
    """A clock by which every turn lasts TURN_SECONDS, however many rows it has."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.turns: list[int] = []

    def now(self) -> float:
        """The time."""
        return self.seconds

    def answer(self, flagged: Flagged) -> np.ndarray:
        """The rows' own probabilities, after a turn's time."""
        self.turns.append(len(flagged))
        self.seconds += TURN_SECONDS
        return flagged.probabilities


@pytest.fixture
def flagged(tmp_path: Path) -> Flagged:
    """Forty flagged queries."""
    return flagged_of(small_bundle(tmp_path), np.arange(40))


def test_a_turn_grows_and_shrinks_with_what_a_row_takes() -> None:
    """Quick rows make it long little by little, one slow turn makes it short at once."""
    length = TurnLength()
    first = length.rows
    sizes = []
    for _ in range(100):
        length.learn(length.rows, 1e-5 * length.rows)
        sizes.append(length.rows)
    assert sizes == sorted(sizes)
    assert first < sizes[0] < 2 * first
    assert TURN_SECONDS / 1.1e-5 < sizes[-1] <= TURN_SECONDS / 1e-5
    length.learn(length.rows, 0.01 * length.rows)
    assert length.rows == round(TURN_SECONDS / 0.01)


def test_a_turn_has_a_row_at_least_and_is_finite() -> None:
    """Whatever the clock said."""
    length = TurnLength()
    length.learn(1, 3600.0)
    assert length.rows == 1
    length = TurnLength()
    for _ in range(1000):
        length.learn(1, 0.0)
    assert length.rows <= 1_000_000


async def test_calls_alternate_on_the_thread(flagged: Flagged) -> None:
    """A small call waits for one turn of a large one, and both get their own rows."""
    watch, metrics = Stopwatch(), PerturberMetrics(Metrics())
    with ThreadPoolExecutor(1) as compute:
        turns = Turns(watch.answer, compute, TurnLength(), metrics, max_waiting=2, clock=watch.now)
        small = flagged.select(np.arange(3))
        answers = await asyncio.gather(turns.answer(flagged), turns.answer(small))
    assert watch.turns[:2] == [16, 3]
    assert sum(watch.turns) == 43
    np.testing.assert_array_equal(answers[0], flagged.probabilities)
    np.testing.assert_array_equal(answers[1], small.probabilities)


async def test_calls_beyond_the_bound_are_refused(flagged: Flagged) -> None:
    """A call more than may wait is told to come back, and the others are answered."""
    watch, metrics = Stopwatch(), Metrics()
    with ThreadPoolExecutor(1) as compute:
        turns = Turns(
            watch.answer,
            compute,
            TurnLength(),
            PerturberMetrics(metrics),
            max_waiting=2,
            clock=watch.now,
        )
        calls = [turns.answer(flagged) for _ in range(3)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [np.ndarray, np.ndarray, Overloaded]
    assert metrics.registry.get_sample_value("queen_waiting_calls") == 0


async def test_owners_alternate_however_many_calls_they_make(flagged: Flagged) -> None:
    """One call of an owner waits for one turn of another, not for a turn of each of its calls."""
    watch, metrics = Stopwatch(), PerturberMetrics(Metrics())
    order: list[str] = []

    async def ask(turns: Turns, owner: str, rows: int) -> None:
        await turns.answer(flagged.select(np.arange(rows)), owner)
        order.append(owner)

    with ThreadPoolExecutor(1) as compute:
        turns = Turns(watch.answer, compute, TurnLength(), metrics, max_waiting=9, clock=watch.now)
        calls = [ask(turns, "many", 10) for _ in range(5)]
        await asyncio.gather(*calls, ask(turns, "small", 3))
    assert watch.turns[:2] == [10, 3]
    assert order.index("small") <= 1


async def test_the_newest_call_of_who_holds_most_gives_way(flagged: Flagged) -> None:
    """A full queue lets another owner in, and the rest are answered."""
    watch, metrics = Stopwatch(), Metrics()
    with ThreadPoolExecutor(1) as compute:
        turns = Turns(
            watch.answer,
            compute,
            TurnLength(),
            PerturberMetrics(metrics),
            max_waiting=3,
            clock=watch.now,
        )
        owners = ["many", "many", "many", "small"]
        calls = [turns.answer(flagged, owner) for owner in owners]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [np.ndarray, np.ndarray, Overloaded, np.ndarray]
    assert metrics.registry.get_sample_value("queen_waiting_calls") == 0


async def test_a_turn_that_fails_ends_its_own_call(flagged: Flagged) -> None:
    """The other calls are answered, and so are those that come later."""

    def fail_on_small(part: Flagged) -> np.ndarray:
        if len(part) < 5:
            raise ZeroDivisionError
        return part.probabilities

    metrics = PerturberMetrics(Metrics())
    with ThreadPoolExecutor(1) as compute:
        turns = Turns(fail_on_small, compute, TurnLength(), metrics, max_waiting=9)
        parts = [flagged.select(np.arange(rows)) for rows in (8, 3, 9)]
        answers = await asyncio.gather(*map(turns.answer, parts), return_exceptions=True)
        assert [type(answer) for answer in answers] == [np.ndarray, ZeroDivisionError, np.ndarray]
        assert len(await turns.answer(parts[0])) == 8


async def test_an_abandoned_call_ends_with_its_turn(flagged: Flagged) -> None:
    """Its other rows are never computed, and it counts no longer."""
    watch, metrics = Stopwatch(), Metrics()
    with ThreadPoolExecutor(1) as compute:
        turns = Turns(
            watch.answer,
            compute,
            TurnLength(),
            PerturberMetrics(metrics),
            max_waiting=2,
            clock=watch.now,
        )
        call = asyncio.create_task(turns.answer(flagged, "gone"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert metrics.registry.get_sample_value("queen_waiting_calls") == 0
        assert len(await turns.answer(flagged.select(np.arange(5)), "stays")) == 5
    assert sum(watch.turns) <= 16 + 5
