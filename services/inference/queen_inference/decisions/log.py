"""Decision records: the verdict on each query and the reasons for it, for the operator alone."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import SystemRandom
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.decision_line import (
    DECISION,
    LEFT_OUT,
    LOGGER,
    OVER_BUDGET,
    UNASSESSED,
    cause_name,
    fact_fields,
)
from queen.errors import QueenError
from queen.method.ledger import Verdict
from queen.owners import group_owner
from queen.serving.logging import account_hash, logger
from queen_inference.decisions.shares import LeftOut, Shares, size_of
from queen_inference.micro_batch import Pending, RowIndex, Span
from queen_inference.peers.sensitivity import Assessed
from queen_inference.settings import FailureMode

_FAILURE_MODES = frozenset(get_args(FailureMode))


@dataclass(frozen=True, slots=True, eq=False)
class DecisionRecord:
    """The record of a request, before it is made into text.

    `harshest` is its harshest verdict in lower case, at least "record" if the request has
    changed a ledger, or "unassessed". `seconds` are since 1970.
    """

    event: str
    harshest: str
    seconds: float
    rows: int
    about: dict[str, Any]
    by_row: Callable[[], dict[str, Any]] = dict
    """The fields of its queries: they cost time, so the writer makes them, not the request."""

    def fields(self) -> dict[str, Any]:
        """All fields but the time, ready for JSON."""
        return self.about | self.by_row()


class DecisionRecorder(Protocol):
    """Keeps the decisions on the requests of micro-batches."""

    def record(
        self,
        spans: Sequence[Span],
        labels: RowIndex,
        assessed: Assessed,
        outcomes: Mapping[Pending, str],
        /,
    ) -> None:
        """Keep the verdicts on some requests of a micro-batch with `labels` (B,)."""

    def record_unassessed(
        self,
        requests: Sequence[Pending],
        outcomes: Mapping[Pending, str],
        error: QueenError,
        /,
    ) -> None:
        """Keep that requests got no verdict."""


LATE_SECONDS = (0.05, 0.15)
"""Shortest and longest time for which decisions are kept before their records are made."""


class LateRecorder:
    """Passes decisions on a while after the answers, at moments that nobody can foresee.

    A record costs time, and which requests get one follows from their verdicts. Made before an
    answer it would delay that answer; made right after it, the account's next one. So all requests
    are kept alike, and the records of a while are made together. A crash loses them.
    """

    def __init__(self, recorder: DecisionRecorder) -> None:
        self._recorder = recorder
        self._kept: list[Callable[[], None]] = []
        self._due: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._random = SystemRandom()

    def record(
        self,
        spans: Sequence[Span],
        labels: RowIndex,
        assessed: Assessed,
        outcomes: Mapping[Pending, str],
    ) -> None:
        """See `DecisionRecorder.record`; needs a running event loop."""
        slim = {pending: pending.without_inputs() for pending, _ in spans}
        told = {slim[pending]: outcomes.get(pending, "") for pending, _ in spans}
        kept = [(slim[pending], rows) for pending, rows in spans]
        self._keep(partial(self._recorder.record, kept, labels, assessed, told))

    def record_unassessed(
        self,
        requests: Sequence[Pending],
        outcomes: Mapping[Pending, str],
        error: QueenError,
    ) -> None:
        """See `DecisionRecorder.record_unassessed`; needs a running event loop."""
        slim = [pending.without_inputs() for pending in requests]
        told = {
            kept: outcomes.get(pending, "") for kept, pending in zip(slim, requests, strict=True)
        }
        self._keep(partial(self._recorder.record_unassessed, slim, told, error))

    def flush(self) -> None:
        """Pass on all that is kept, at the end of the service."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for make in [*self._due, *self._kept]:
            make()
        self._due.clear()
        self._kept.clear()

    def _keep(self, make: Callable[[], None]) -> None:
        self._kept.append(make)
        if self._timer is None:
            wait = self._random.uniform(*LATE_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(wait, self._pass_on)

    def _pass_on(self) -> None:
        self._timer = None
        self._due.extend(self._kept)
        self._kept.clear()
        self._make_next()

    def _make_next(self) -> None:
        """Make the records of one micro-batch; those of many would hold up the event loop."""
        if self._due:
            self._due.popleft()()
            asyncio.get_running_loop().call_soon(self._make_next)


class DecisionLog:
    """Writes one record a request: of all requests, of none, or of those with a REVERSE.

    "flagged" also writes the requests that were answered without a verdict, or got none. Of the
    requests that were not reversed and changed no ledger, "all" writes only a share:
    `share_of_preserved`.

    An account cannot fill the log for free. Of its requests that were refused for the budget and
    changed no ledger, `shares` has one a minute; once its owner's share of a minute is full, only
    the queries that changed a ledger are written. A line for each account and minute counts the
    rest.
    """

    def __init__(
        self,
        which: Literal["off", "flagged", "all"],
        bundle: Bundle,
        write: Callable[[DecisionRecord], None],
        shares: Shares | None = None,
        *,
        share_of_preserved: float = 1.0,
    ) -> None:
        self._which = which
        self._of = {"bundle": bundle.digest, "model": bundle.manifest.model_name}
        self._write = write
        self._shares = shares or Shares()
        self._sampled_below = round(share_of_preserved * 2**64)

    def record(
        self,
        spans: Sequence[Span],
        labels: RowIndex,
        assessed: Assessed,
        outcomes: Mapping[Pending, str],
    ) -> None:
        """Write the records of some requests of a micro-batch with `labels` (B,).

        `outcomes` name the failure mode, or the refusal, of the requests that were not answered
        by their verdicts.
        """
        if self._which == "off" or not spans:
            return
        self._write_left_out(self._shares.begin())
        is_charged = _is_charged(assessed)
        for pending, rows in spans:
            charged = np.flatnonzero(is_charged[rows]) + rows.start
            harshest = Verdict(int(assessed.verdicts[rows].max()))
            if harshest is Verdict.PRESERVE and len(charged):
                harshest = Verdict.RECORD
            told = _Told(pending, rows, charged, harshest, outcomes.get(pending, ""))
            request_id = secrets.token_hex(8)
            if told.outcome not in _FAILURE_MODES and not self._is_wanted(harshest, request_id):
                continue
            listed = self._listed(told, assessed)
            if listed is not None:
                about = self._about(pending, request_id, told.outcome)
                about["rows"] = count = len(labels[listed])
                by_row = partial(_row_fields, labels[listed], assessed, listed)
                name, now = harshest.name.lower(), time.time()
                self._write(DecisionRecord(DECISION, name, now, count, about, by_row))

    def record_unassessed(
        self,
        requests: Sequence[Pending],
        outcomes: Mapping[Pending, str],
        error: QueenError,
    ) -> None:
        """Write the records of requests that got no verdict.

        `outcomes` name the failure mode or the refusal of each.
        """
        if self._which == "off":
            return
        self._write_left_out(self._shares.begin())
        for pending in requests:
            about = self._about(pending, secrets.token_hex(8), outcomes.get(pending, ""))
            if not self._shares.admit(pending, size_of(0)):
                self._shares.drop(pending, self._of_account(pending), UNASSESSED)
                continue
            about["problem"] = str(error)
            self._write(DecisionRecord(UNASSESSED, UNASSESSED, time.time(), pending.rows, about))

    def close(self) -> None:
        """Write what the last minute has left out."""
        if self._which != "off":
            self._write_left_out(self._shares.close())

    def _listed(self, told: _Told, assessed: Assessed) -> slice | RowIndex | None:
        """The rows that the record of a request lists; None if it gets no record."""
        shares, pending, about = self._shares, told.pending, self._of_account(told.pending)
        is_charged = len(told.charged) > 0
        if told.outcome == OVER_BUDGET and not is_charged and shares.is_told(pending):
            shares.leave_out(pending, about, pending.rows, over_budget=True)
            return None
        if shares.admit(pending, _size_of(assessed, told.rows)):
            return told.rows
        if not is_charged:
            shares.drop(pending, about, told.harshest.name.lower())
            return None
        if len(told.charged) < pending.rows:
            shares.leave_out(pending, about, pending.rows - len(told.charged))
        return told.charged

    def _write_left_out(self, all_left_out: Sequence[LeftOut]) -> None:
        for left_out in all_left_out:
            since = datetime.fromtimestamp(left_out.since, UTC).isoformat()
            about = left_out.about | {
                "request_id": secrets.token_hex(8),
                "since": since,
                "requests": left_out.requests,
                "rows": left_out.rows,
                OVER_BUDGET: left_out.over_budget,
            }
            self._write(DecisionRecord(LEFT_OUT, "reverse", time.time(), 1, about))

    def _is_wanted(self, harshest: Verdict, request_id: str) -> bool:
        if self._which == "flagged":
            return harshest is Verdict.REVERSE
        # The id is random, so it also decides whether the request is in the share.
        return harshest is not Verdict.PRESERVE or int(request_id, 16) < self._sampled_below

    def _about(self, pending: Pending, request_id: str, outcome: str) -> dict[str, Any]:
        about = self._of_account(pending) | {"request_id": request_id, "rows": pending.rows}
        if pending.request_id:
            # Callers may put anything into their ids. An operator who knows an id can hash it.
            about["caller_id_hash"] = hash_of("request", pending.request_id)
        if outcome:
            about["failure_mode" if outcome in _FAILURE_MODES else "refused"] = outcome
        return about

    def _of_account(self, pending: Pending) -> dict[str, Any]:
        account = pending.account
        about = self._of | {"account_hash": account.hash, "profile": account.profile.value}
        if account.group:
            about["group_hash"] = account_hash(group_owner(account.group))
        return about


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """A request with its verdicts; `charged`, ascending, are those `rows` that changed a ledger."""

    pending: Pending
    rows: slice
    charged: RowIndex
    harshest: Verdict
    outcome: str


def hash_of(kind: str, text: str) -> str:
    """The name in the log of a text that it must not repeat; `kind` keeps kinds apart."""
    return hashlib.sha256(f"queen {kind} {text}".encode()).hexdigest()[:16]


def write_to_stream(record: DecisionRecord) -> None:
    """Write a record among the other log lines, at once."""
    logger(LOGGER).info(record.event, **record.fields())


def _is_charged(assessed: Assessed) -> NDArray[np.bool_]:
    """Rows that have changed a ledger, (B,).

    The verdict does not tell it: rows of an exempt account whose group is over its budget are
    PRESERVE, and may be recorded all the same.
    """
    facts = assessed.facts
    is_charged = np.zeros(len(facts), np.bool_)
    for ledger in ("", "group_", "observed_", "observed_group_"):
        is_charged |= facts[f"{ledger}cqs_after"] != facts[f"{ledger}cqs_before"]
    return is_charged


def _size_of(assessed: Assessed, rows: slice) -> int:
    first = assessed.facts[rows.start]
    return size_of(
        rows.stop - rows.start,
        is_grouped=bool(first["group_budgets"]),
        is_observed=bool(first["observed"]),
    )


def _row_fields(labels: RowIndex, assessed: Assessed, rows: slice | RowIndex) -> dict[str, Any]:
    return {
        "class": labels.tolist(),
        "verdict": [Verdict(code).name for code in assessed.verdicts[rows].tolist()],
        "cause": [cause_name(bits) for bits in assessed.causes[rows].tolist()],
        "sqs": _rounded(assessed.sqs[rows]),
        **fact_fields(assessed.facts[rows]),
    }


def _rounded(values: NDArray[np.float32]) -> list[float]:
    """Numbers with as many digits as give the same float32 again."""
    return [float(f"{value:.9g}") for value in values.tolist()]
