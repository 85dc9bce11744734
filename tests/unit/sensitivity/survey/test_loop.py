"""The loop that surveys, its pace, and that no verdict follows from a survey."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import NoReturn

import numpy as np
import structlog
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.loop import Pace, SurveyLoop
from queen_sensitivity.survey.surveyor import Survey

from queen.errors import DependencyUnavailable
from queen.serving.lasting.tasks import Lasting
from tests.unit.sensitivity.regions import batch_of, book_of, meter_of, stream
from tests.unit.sensitivity.survey.surveys import (
    GEOMETRY,
    THIEVES,
    linked,
    loop_of,
    send,
    surveyor_of,
)


class StopAfter(threading.Event):
    """A stop whose waits last no time; it is set at the end of the wait number `waits`."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._left = waits

    def wait(self, timeout: float | None = None) -> bool:
        """Note how long the wait would have been."""
        self.waited.append(timeout or 0.0)
        if len(self.waited) == self._left:
            self.set()
        return self.is_set()


def test_verdicts_are_bit_identical_with_and_without_surveys() -> None:
    """A thread surveys as often as it can while the engine assesses batches of linked accounts."""
    policies = [AccountPolicy(name, group="g" if name[0] == "x" else "") for name in "xyzuv"]
    batches = [stream(GEOMETRY, seed // 2, 150) for seed in range(24)]
    owners = [np.random.default_rng(seed).integers(0, 5, 150) for seed in range(24)]

    def assessed(*, is_surveyed: bool) -> list[bytes]:
        store = MemoryLedgerStore()
        loop = loop_of(store)
        book = book_of(GEOMETRY, store, budget=20, meter=meter_of(GEOMETRY))
        outcome = []
        with loop.running() if is_surveyed else nullcontext():
            for (embeddings, labels), owner in zip(batches, owners, strict=True):
                if is_surveyed:
                    loop.survey_once()
                step = book.assess(batch_of(policies, embeddings, labels, owner))
                outcome += [
                    array.tobytes()
                    for array in (
                        *(step.verdicts, step.distances, step.sqs),
                        *(step.cqs_before, step.cqs_after, step.causes),
                    )
                ]
        assert (loop.latest is not None) == is_surveyed
        for name in store.list_accounts(GEOMETRY.digest, "", 99):
            ledgers = store.load(name, GEOMETRY.digest)
            outcome += [records.tobytes() for records in ledgers.values()]
        return outcome

    assert assessed(is_surveyed=True) == assessed(is_surveyed=False)


def test_a_forgotten_account_is_suggested_no_more(populated: MemoryLedgerStore) -> None:
    """Its links go at once; the next survey knows by itself."""
    loop = loop_of(populated)
    loop.survey_once()
    assert loop.latest is not None
    assert linked(loop.latest) == {frozenset(THIEVES)}
    loop.forget(THIEVES[0])
    assert loop.latest.comparison.links == ()
    assert loop.latest.comparison.links_found == 0
    loop.survey_once()
    assert linked(loop.latest) == {frozenset(THIEVES)}


def test_a_survey_that_read_an_account_before_it_was_erased_suggests_no_link_of_it(
    populated: MemoryLedgerStore,
) -> None:
    """The account is forgotten while the survey is made."""
    surveyor = surveyor_of(populated)

    def erased_meanwhile(proceed: Callable[[], bool]) -> Survey | None:
        survey = surveyor.survey(proceed)
        loop.forget(THIEVES[1])
        return survey

    loop = SurveyLoop(erased_meanwhile, 1.0, threading.Event())
    loop.survey_once()
    assert loop.latest is not None
    assert loop.latest.comparison.links == ()


def test_a_survey_that_fails_is_counted_and_the_next_one_succeeds() -> None:
    """The log says why, with no account in it; the loop waits its period between surveys."""
    store = MemoryLedgerStore()
    send(store, "an-account", 1)
    surveyor, outcomes, stop = surveyor_of(store), [], StopAfter(4)
    failures = iter([DependencyUnavailable("expected an answer, got none"), ValueError("secret")])

    def make_survey(proceed: Callable[[], bool]) -> Survey | None:
        for error in failures:
            raise error
        return surveyor.survey()

    loop = SurveyLoop(make_survey, 10.0, stop, count=outcomes.append)
    with structlog.testing.capture_logs() as lines:
        loop.run()
    assert outcomes == ["failed", "failed", "done"]
    assert loop.latest is not None
    assert [line.get("problem") for line in lines[:2]] == [
        "expected an answer, got none",
        "ValueError",
    ]
    assert "an-account" not in str(lines)
    assert 0.0 <= stop.waited[0] <= 1.0
    assert all(9.0 <= wait <= 11.0 for wait in stop.waited[1:])


async def test_a_survey_thread_that_dies_is_told() -> None:
    """A survey that fails is counted; a count that fails ends the thread, and so the process."""

    def fail(*_: object) -> NoReturn:
        raise ValueError("a bug")

    lasting = Lasting()
    loop = SurveyLoop(fail, 10.0, StopAfter(99), count=fail)
    with loop.running(lasting.guarded):
        async with asyncio.timeout(10):
            assert await lasting.death() == "survey"


def test_without_a_period_no_survey_is_made() -> None:
    """No thread is started."""
    before = threading.active_count()
    loop = loop_of(MemoryLedgerStore(), 0)
    with loop.running():
        assert threading.active_count() == before
    assert loop.latest is None


def test_the_pace_rests_as_long_as_the_work_took() -> None:
    """A rest ends early when the loop is to stop."""
    # A quick piece; a piece that makes 2 s with it; and a piece of 3 s.
    times = iter([0.0, 0.001, 2.0, 4.0, 7.0, 10.0, 10.0])
    stop = StopAfter(99)
    pace = Pace(stop, lambda: next(times))
    assert [pace() for _ in range(3)] == [True] * 3
    assert stop.waited == [2.0, 3.0]
    stop.set()
    assert not pace()
