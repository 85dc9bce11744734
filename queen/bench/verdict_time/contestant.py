"""A profile of a deployment under a thief's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue

import grpc
import numpy as np
from numpy.typing import NDArray

from queen.bench.verdict_time.askings import (
    PRESERVED,
    REVERSED,
    Asking,
    Oracle,
    first_askings,
    rows_of,
)
from queen.bench.verdict_time.guesses import Rounds, Times
from queen.method.contracts import SCOPES, Profile
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict

ASKINGS = 120
"""Askings of flagged queries in a round, and of unflagged ones."""
BURST_ASKINGS = 48
"""The same, of those that are sent in bursts."""
BURST = 8
"""Requests that are sent at once."""
FIRST_ASKINGS = 24
"""Queries of each kind of the new account of a round."""
_QUERIES = 8
_WARM_REQUESTS = 4
_HISTORY_ROWS = 160
_HISTORY_BATCH = 32
_METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Clock:
    """Asks a deployment on a connection of its own, and takes the times of the answers.

    `requests` are the wire form of a request for each sample, and `request_of` makes that of
    several samples, by their rows.
    """

    def __init__(
        self,
        endpoint: str,
        requests: Sequence[bytes],
        request_of: Callable[[NDArray[np.int64]], bytes],
    ) -> None:
        options = [("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(endpoint, options=options)
        self._infer = self._channel.unary_unary(_METHOD, None, None)
        self._requests = requests
        self._request_of = request_of

    def send(self, account: str, rows: NDArray[np.int64]) -> None:
        """Ask samples in one request, whose time is of no interest."""
        self._infer(self._request_of(rows), metadata=_metadata(account))

    def seconds(self, asking: Asking) -> float:
        """The time until the answer."""
        request, metadata = self._requests[asking.row], _metadata(asking.account)
        began = time.perf_counter()
        self._infer(request, metadata=metadata)
        return time.perf_counter() - began

    def times(self, askings: Sequence[Asking]) -> dict[str, Times]:
        """The times of each kind; requests without a kind are sent and not counted."""
        times: dict[str, list[float]] = {}
        for asking in askings:
            times.setdefault(asking.kind, []).append(self.seconds(asking))
        times.pop("", None)
        return {kind: np.array(values) for kind, values in times.items()}

    def burst_times(self, askings: Sequence[Asking]) -> dict[str, Times]:
        """The times of each kind, asked BURST at once."""
        times: dict[str, list[float]] = {}
        for start in range(0, len(askings), BURST):
            for asking, seconds in self._at_once(askings[start : start + BURST]):
                times.setdefault(asking.kind, []).append(seconds)
        return {f"{kind} in a burst": np.array(values) for kind, values in times.items()}

    def _at_once(self, askings: Sequence[Asking]) -> list[tuple[Asking, float]]:
        ended: SimpleQueue[tuple[int, float]] = SimpleQueue()

        def note(at: int, _call: object) -> None:
            ended.put((at, time.perf_counter()))

        began, calls = [], []
        for at, asking in enumerate(askings):
            began.append(time.perf_counter())
            request, metadata = self._requests[asking.row], _metadata(asking.account)
            calls.append(self._infer.future(request, metadata=metadata))
            calls[-1].add_done_callback(partial(note, at))
        times = [ended.get() for _ in calls]
        for call in calls:
            call.result()
        return [(askings[at], moment - began[at]) for at, moment in times]

    def close(self) -> None:
        """End the connection."""
        self._channel.close()


class Contestant:
    """A profile: its accounts, known to the oracle, and the times of their queries by round.

    Where the verdict follows from the query, flagged and unflagged queries are those of one account
    over its budget. Where it follows from the account, both are the same queries, of an account
    that is over and of one that is not. Under `refuse` the error tells it, and nothing is compared.
    """

    def __init__(self, profile: Profile, oracle: Oracle, clock: Clock) -> None:
        self.profile = profile
        self.within = f"within-{profile}"
        """The account that stays within its budget."""
        self.covered: list[int] = []
        """Rows that this account has asked already."""
        self.reversals = 0
        """REVERSE verdicts that the deployment must have given."""
        self._oracle = oracle
        self._clock = clock
        self._compared: list[Asking] = []
        self._rounds: list[dict[str, Times]] = []

    @property
    def records(self) -> int:
        """RECORD verdicts that the deployment must have given."""
        return self._oracle.given[Verdict.RECORD]

    def prepare(self) -> None:
        """Bring the accounts to where their verdicts do not change any more."""
        rows = np.flatnonzero(self._oracle.is_inside)[:_HISTORY_ROWS]
        self.covered = rows.tolist()
        self._send(self.within, rows)
        scope, over = SCOPES[self.profile], f"over-{self.profile}"
        if scope is Scope.REPEATED:
            return
        self.reversals += self._send(over, rows)
        flagged = rows_of(self._oracle, over, Verdict.REVERSE, rows)[:_QUERIES]
        unflagged, quiet = flagged, self.within
        if scope is Scope.QUERY:
            unflagged, quiet = rows_of(self._oracle, over, Verdict.PRESERVE, rows)[:_QUERIES], over
        self._compared = [
            Asking(account, row, kind)
            for account, chosen, kind in ((quiet, unflagged, PRESERVED), (over, flagged, REVERSED))
            for row in np.resize(chosen, ASKINGS).tolist()
        ]

    def play(self, rng: np.random.Generator) -> None:
        """A round: all kinds in random order, behind a few requests that are not counted."""
        warm = [Asking(self.within, row, "") for row in self.covered[:_WARM_REQUESTS]]
        mixed = [self._compared[at] for at in rng.permutation(len(self._compared)).tolist()]
        account = f"new-{self.profile}-{len(self._rounds)}"
        firsts = first_askings(self._oracle, account, FIRST_ASKINGS, rng)
        times = self._clock.times([*warm, *mixed, *warm, *firsts])
        bursts = mixed[: 2 * BURST_ASKINGS]
        self._rounds.append(times | self._clock.burst_times(bursts))
        self.reversals += sum(asking.kind == REVERSED for asking in [*mixed, *bursts])

    def rounds(self, slow: str, fast: str) -> Rounds:
        """The times of two kinds in the rounds that have both."""
        return [
            (times[slow], times[fast]) for times in self._rounds if slow in times and fast in times
        ]

    def times(self, kind: str) -> Times:
        """All times of a kind."""
        return np.concatenate([times[kind] for times in self._rounds if kind in times])

    def _send(self, account: str, rows: NDArray[np.int64]) -> int:
        """Have an account ask rows; returns how many of them were flagged."""
        flagged = 0
        for start in range(0, len(rows), _HISTORY_BATCH):
            asked = rows[start : start + _HISTORY_BATCH]
            flagged += int((self._oracle.verdicts(account, asked) == Verdict.REVERSE).sum())
            self._clock.send(account, asked)
        return flagged


def _metadata(account: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {account}"),)
