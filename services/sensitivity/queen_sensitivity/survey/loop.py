"""A thread that surveys the accounts every few minutes, at a pace that leaves room for others."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from queen.errors import QueenError
from queen.serving.logging import logger
from queen_sensitivity.survey.surveyor import Survey

_SHORTEST_REST = 0.005
"""Shortest rest in seconds; shorter rests are added to a later rest."""
MakeSurvey = Callable[[Callable[[], bool]], Survey | None]
"""Makes a survey, and asks its argument now and then whether to go on; None if it must not."""


class Pace:
    """Rests between pieces of work, each rest as long as the piece of work before it.

    So a survey uses at most half of one core, and half of the time it does not use the store.
    """

    def __init__(self, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._clock = clock
        self._since = clock()

    def __call__(self) -> bool:
        """Rest; returns whether to go on."""
        worked = self._clock() - self._since
        if worked >= _SHORTEST_REST:
            self._stop.wait(worked)
            self._since = self._clock()
        return not self._stop.is_set()


Guard = Callable[[str, Callable[[], None]], Callable[[], None]]
"""Wraps the work of a thread by its name: `Lasting.guarded`."""


class SurveyLoop:
    """Keeps the last survey; if `every_seconds` is 0 it never makes one.

    `stop` ends the loop, which waits on it between surveys. `show` gets every survey, and
    `count` its outcome: done or failed.
    """

    def __init__(
        self,
        make_survey: MakeSurvey,
        every_seconds: float,
        stop: threading.Event,
        show: Callable[[Survey], None] = lambda _: None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.every_seconds = every_seconds
        self._make_survey = make_survey
        self._show = show
        self._count = count
        self._log = logger("survey")
        self._stop = stop
        self._lock = threading.Lock()
        self._latest: Survey | None = None
        self._forgotten: set[str] = set()

    @property
    def latest(self) -> Survey | None:
        """The last survey, None before the first has ended; from any thread."""
        with self._lock:
            return self._latest

    def forget(self, account_id: str) -> None:
        """Suggest no link of an account until the next survey has read it; from any thread."""
        with self._lock:
            self._forgotten.add(account_id)
            if self._latest is not None:
                self._latest = _without(self._latest, {account_id})

    @contextmanager
    def running(self, guarded: Guard = lambda _name, work: work) -> Iterator[None]:
        """Survey in a thread of its own until the block ends; `guarded` tells its death."""
        if not self.every_seconds:
            yield
            return
        thread = threading.Thread(target=guarded("survey", self.run), name="survey")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def run(self) -> None:
        """Survey every `every_seconds`, until `stop` is set."""
        # Replicas that start together do not read the store in step.
        wait = self.every_seconds * random.uniform(0.0, 0.1)  # noqa: S311 - no secret
        while not self._stop.wait(wait):
            try:
                self.survey_once()
            except Exception as error:  # noqa: BLE001 - the next survey may well succeed
                self._count("failed")
                problem = str(error) if isinstance(error, QueenError) else type(error).__name__
                self._log.warning("survey failed", problem=problem)
            wait = self.every_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret

    def survey_once(self) -> None:
        """Make a survey and keep it, unless the loop is to stop."""
        with self._lock:
            self._forgotten.clear()
        survey = self._make_survey(Pace(self._stop))
        if survey is None:
            return
        with self._lock:
            # The survey may have read accounts before they were erased.
            survey = self._latest = _without(survey, self._forgotten)
        self._show(survey)
        self._count("done")
        totals, comparison = survey.totals, survey.comparison
        self._log.info(
            "accounts surveyed",
            seconds=round(survey.seconds, 3),
            accounts=totals.accounts,
            links=comparison.links_found,
            accounts_left_out=comparison.accounts_left_out,
        )


def _without(survey: Survey, account_ids: set[str]) -> Survey:
    return replace(survey, comparison=survey.comparison.without(account_ids))
