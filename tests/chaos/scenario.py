"""A scenario: a stage under load, faults, the way back, and the checks afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.chaos.checks.judgement import count_answers, judge_answers, judge_ledgers
from tests.chaos.checks.ledgers import Ledgers, exported, missing
from tests.chaos.checks.liveness import Liveness
from tests.chaos.checks.report import Tally, say
from tests.chaos.failovers import held_by
from tests.chaos.load import EVERY_ACCOUNT, Acknowledged, Load, Told, assessors_of
from tests.chaos.queries import Questions
from tests.chaos.setting import Setting
from tests.chaos.stage import Stage, open_stage
from tests.redis_servers import RedisServer, redis_server

RECOVERY_SECONDS = 8.0
"""Probes, breakers and reconnections last a second or two."""
_WARM_SECONDS = 1.0
_CALM_SECONDS = 1.5
_RECHECK_SECONDS = 1.2
"""Longer than a spent account is answered from memory alone."""


@dataclass(frozen=True)
class Opened:
    """A stage that runs, and the records that were acknowledged on it so far."""

    setting: Setting
    stage: Stage
    servers: Sequence[RedisServer]
    liveness: Liveness
    history: list[Acknowledged] = field(default_factory=list)


class Scenario:
    """A stage under load; `finish` checks everything and gives the counts."""

    def __init__(self, name: str, opened: Opened) -> None:
        self.stage = opened.stage
        self.liveness = opened.liveness
        self.servers = opened.servers
        self.told = Told(records=opened.history)
        self.tally = Tally(name, opened.setting.seed)
        self._questions = Questions(opened.setting.small)
        self._rng = np.random.default_rng([opened.setting.seed, len(opened.setting.tallies)])
        self._load: Load | None = None
        self._started = time.monotonic()
        self._acknowledged_before = len(opened.history)
        self._polls_before = opened.liveness.polls
        self._failures_before = len(opened.liveness.failures)
        self._regressed_before = opened.stage.appends("regressed")

    @property
    def server(self) -> RedisServer:
        """The first Redis, or the only one."""
        return self.servers[0]

    @property
    def regressed(self) -> int:
        """Number of times that a replica met a ledger that was set back."""
        return self.stage.appends("regressed") - self._regressed_before

    def begin(self) -> None:
        """Put the stage under load; it stays so until `pause` or `finish`."""
        self._load = Load(self.stage, self._questions, int(self._rng.integers(2**31)), self.told)
        self._load.start()
        time.sleep(_WARM_SECONDS)

    def pause(self) -> None:
        """Stop the load."""
        if self._load is not None:
            self._load.stop()
            self._load = None

    def recover(self) -> None:
        """End the faults of the network, and wait until all answers are on verdicts again."""
        self.stage.clear()
        cleared = time.monotonic()
        while time.monotonic() < cleared + RECOVERY_SECONDS + _CALM_SECONDS:
            time.sleep(0.05)
            if time.monotonic() - max(cleared, self._last_failure()) > _CALM_SECONDS:
                break
        waited = max(0.0, self._last_failure() - cleared)
        self.tally.recovery_seconds = max(self.tally.recovery_seconds, waited)

    def synchronize(self) -> None:
        """Let every replica know every ledger, as after a request of its account."""
        self._ask(rounds=2)

    def ask_again(self) -> int:
        """Have each account ask each replica something new, and the spent account for longer.

        Returns how many records had been acknowledged before the last round.
        """
        self._ask(rounds=1)
        time.sleep(_RECHECK_SECONDS)
        self._ask(rounds=1)
        before = len(self.told.records)
        self._ask(rounds=1)
        return before

    def ledgers(self) -> Ledgers:
        """The ledgers in the store now, exported by the first replica."""
        return exported(self._admin, self._questions.geometry)

    def missing_from(self, servers: Sequence[RedisServer]) -> int:
        """Records acknowledged so far that one Redis, or a cluster, does not have."""
        told = list(self.told.records)
        ledgers = held_by(servers, self._questions.geometry, EVERY_ACCOUNT)
        return len(missing(ledgers, told))

    def finish(self, *, allowed: frozenset[str] = frozenset(), set_back: int = 0) -> Tally:
        """Stop the load, have the accounts ask again, and check; AssertionError for what fails.

        `allowed` are codes that requests may end with. `set_back` acknowledged records were
        missing in between.
        """
        if self._load is not None:
            self.recover()
        self.pause()
        fresh = self.ask_again()
        self._count(allowed, set_back)
        trusted = self.told.records[fresh if set_back else 0 :]
        judge_ledgers(self.tally, self.ledgers(), self.told, trusted, self._admin, self._questions)
        self.tally.repaired = max(0, set_back - self.tally.lost)
        say(f"{self.tally.scenario}: {self.tally.summary()}")
        assert not self.tally.problems, self.tally.problems
        assert not self.tally.losses, self.tally.losses
        return self.tally

    @property
    def _admin(self) -> str:
        return self.stage.replicas[0].addresses["admin"]

    def _ask(self, rounds: int) -> None:
        assessors = assessors_of(self.stage, self._questions, self.told)
        labels = np.repeat(np.arange(self._questions.geometry.num_classes), 3)
        for _ in range(rounds):
            for assessor in assessors:
                for account in EVERY_ACCOUNT:
                    assessor.ask(account, labels, self._questions.inside(self._rng, labels))
        for assessor in assessors:
            assessor.close()

    def _last_failure(self) -> float:
        """Time of the last answer without a verdict, of requests with time enough for a verdict."""
        for answer in reversed(self.told.answers):
            if answer.kind != "verdict" and not answer.is_hasty:
                return answer.at
        return 0.0

    def _count(self, allowed: frozenset[str], set_back: int) -> None:
        tally, liveness = self.tally, self.liveness
        count_answers(tally, self.told)
        tally.acknowledged = len(self.told.records) - self._acknowledged_before
        tally.set_back = set_back
        tally.regressed = self.regressed
        tally.liveness_polls = liveness.polls - self._polls_before
        failures = liveness.failures[self._failures_before :]
        tally.liveness_failures = len(failures)
        tally.seconds = time.monotonic() - self._started
        tally.problems += [*self.told.broken, *failures[:5]]
        judge_answers(tally, allowed, RECOVERY_SECONDS)


@contextmanager
def opened(setting: Setting, folder: Path, **options: Any) -> Iterator[Opened]:
    """A stage over one Redis; `options` are those of `open_stage`."""
    with (
        redis_server(folder / "redis") as server,
        opened_over(setting, folder, [server], **options) as running,
    ):
        yield running


@contextmanager
def opened_over(
    setting: Setting, folder: Path, servers: Sequence[RedisServer], **options: Any
) -> Iterator[Opened]:
    """A stage over one Redis that runs, or over the nodes of a cluster."""
    with ExitStack() as stack:
        stage = stack.enter_context(open_stage(setting, folder, servers, **options))
        liveness = stack.enter_context(Liveness([stage.door, *stage.replicas]))
        yield Opened(setting, stage, servers, liveness)


@contextmanager
def scenario(name: str, running: Opened) -> Iterator[Scenario]:
    """A scenario on a stage, under load when the block begins."""
    say(f"{name}, seed {running.setting.seed}")
    run = Scenario(name, running)
    running.setting.tallies.append(run.tally)
    try:
        # The account `spent` spends its budget here, with records that are acknowledged.
        run.synchronize()
        run.begin()
        yield run
    finally:
        run.pause()
        run.stage.clear()
