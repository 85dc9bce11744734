"""A micro-batch: the requests that the protectee runs together, as one value.

Shapes: B queries ("rows") of all requests, C classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from queen.method.contracts import Profile
from queen.serving.auth import Account
from queen.serving.fairness.fair_queue import Payer
from queen_inference.protectee import Array, Outputs, SingleArray

RowIndex = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Pending:
    """A request that waits for its answers: R queries of an account.

    `expires` is in the event loop's time, infinite without a deadline. The future receives the
    answers (R, C) float32.
    """

    account: Account
    inputs: Array
    expires: float
    arrived: float
    answers: asyncio.Future[SingleArray]
    request_id: str = ""
    """The caller's own id of the request; empty without any."""
    begun: int = 0
    """Rows that were handed to the protectee."""
    parts: list[Outputs] | None = None
    """The outputs of the rows that have run, of a request that runs in several turns."""
    payer: Payer = field(init=False)
    """In whose turns the request runs: its group's, or its account's if it is in none."""

    def __post_init__(self) -> None:
        self.payer = Payer(self.account.owner, self.account.account_id)

    @property
    def rows(self) -> int:
        """R."""
        return len(self.inputs)

    @property
    def is_begun(self) -> bool:
        """Whether its last row was handed to the protectee."""
        return self.begun == len(self.inputs)

    def without_inputs(self) -> Pending:
        """The request for the decision log, which needs its account and the number of its rows."""
        return replace(self, inputs=np.empty((self.rows, 0)), parts=None)

    def resolve(self, answers: SingleArray) -> None:
        """Deliver the answers, unless the caller has gone."""
        if not self.answers.done():
            self.answers.set_result(answers)

    def fail(self, error: BaseException) -> None:
        """Deliver an error, unless the caller has gone."""
        if not self.answers.done():
            self.answers.set_exception(error)


Span = tuple[Pending, slice]
"""A request, and the rows of its queries in the micro-batch."""


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """Requests with their queries stacked, the protectee's outputs and its labels (B,).

    Iterating gives each request with its rows.
    """

    requests: Sequence[Pending]
    inputs: Array
    outputs: Outputs
    labels: RowIndex

    @classmethod
    def of(cls, requests: Sequence[Pending], inputs: Array, outputs: Outputs) -> MicroBatch:
        """The micro-batch of a run; `inputs` and `outputs` hold the rows of all `requests`."""
        # Probabilities can tie in float32 where logits do not.
        return cls(requests, inputs, outputs, outputs.logits.argmax(axis=1))

    def __len__(self) -> int:
        """B."""
        return len(self.labels)

    def __iter__(self) -> Iterator[Span]:
        start = 0
        for request in self.requests:
            end = start + request.rows
            yield request, slice(start, end)
            start = end

    def request_at(self, row: int) -> Pending:
        """The request that holds a row."""
        return next(request for request, rows in self if row < rows.stop)

    def by_row(self, values: Sequence[Any], dtype: DTypeLike) -> NDArray[Any]:
        """Values (B,) of the rows, from one value for each request."""
        return np.repeat(np.array(values, dtype), [request.rows for request in self.requests])

    def rows_under(self, *profiles: Profile) -> NDArray[np.bool_]:
        """The rows (B,) whose account is under one of some profiles."""
        is_under = [request.account.profile in profiles for request in self.requests]
        return self.by_row(is_under, np.bool_)

    def part(self, is_kept: Sequence[bool]) -> MicroBatch:
        """The requests that are kept, with all of their rows."""
        rows = self.by_row(is_kept, np.bool_)
        requests = [request for request, kept in zip(self.requests, is_kept, strict=True) if kept]
        return MicroBatch(requests, self.inputs[rows], self.outputs.part(rows), self.labels[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """Requests of a micro-batch that have no answer yet, and the work that gives them one."""

    requests: Sequence[Pending]
    work: Coroutine[Any, Any, None]


@contextmanager
def answering_in_time(
    spans: Iterable[Span],
    timeout_seconds: float,
    margin_seconds: float,
    answer: Callable[[Pending, slice], str],
    late: dict[Pending, str],
) -> Iterator[None]:
    """While a peer is waited for, answer each request before its own deadline.

    The peer gets its full timeout, whatever deadlines the callers set. A request with less time is
    handed to `answer` a margin before it expires, and is then among the `late`, with the outcome
    that `answer` returned. A request that was answered before is not among them.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + timeout_seconds

    def give_up(pending: Pending, rows: slice) -> None:
        if not pending.answers.done():
            late[pending] = answer(pending, rows)

    due = [(pending.expires - margin_seconds, pending, rows) for pending, rows in spans]
    timers = [loop.call_at(at, give_up, pending, rows) for at, pending, rows in due if at < ends]
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
