"""The decision record: why each query was answered as it was, for the operator alone."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.decision_line import (
    DECISION,
    HURRIED,
    LOGGER,
    OVERLOADED,
    UNASSESSED,
    cause_name,
    fact_fields,
)
from queen.errors import DependencyUnavailable
from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from queen.owners import group_owner
from queen.serving.logging import account_hash, logger
from queen_inference.batching import Pending
from queen_inference.peers.clients import Assessed

Span = tuple[Pending, slice]
"""A request, and where its rows are in the micro-batch."""


@dataclass(frozen=True, slots=True, eq=False)
class DecisionRecord:
    """What is to be written of one request, not yet in words.

    `harshest` is its harshest verdict in lower case, "record" at least if it has changed a
    ledger, or "unassessed"; `seconds` since 1970.
    """

    event: str
    harshest: str
    seconds: float
    rows: int
    about: dict[str, Any]
    by_row: Callable[[], dict[str, Any]] = dict
    """The fields of its queries: not free, so they are made by who writes them."""

    def fields(self) -> dict[str, Any]:
        """All fields but the time, ready for JSON."""
        return self.about | self.by_row()


class DecisionRecorder(Protocol):
    """Keeps what was decided on each request of a micro-batch."""

    def record(
        self,
        spans: Sequence[Span],
        labels: NDArray[np.int64],
        assessed: Assessed,
        outcome: str = "",
        /,
    ) -> None:
        """Keep the verdicts of requests of one micro-batch that was assessed."""

    def record_unassessed(
        self,
        batch: Sequence[Pending],
        outcomes: Mapping[Pending, str],
        error: DependencyUnavailable,
        /,
    ) -> None:
        """Keep that a micro-batch got no verdict."""


class DecisionLog:
    """One record a request: of all, of those with a REVERSE, or of none.

    Of all means of each that was reversed or has changed a ledger, and of
    `share_of_preserved` of the others.
    """

    def __init__(
        self,
        which: Literal["off", "flagged", "all"],
        bundle: Bundle,
        default_profile: Profile,
        write: Callable[[DecisionRecord], None],
        *,
        share_of_preserved: float = 1.0,
    ) -> None:
        self._which = which
        self._of = {"bundle": bundle.digest, "model": bundle.manifest.model_name}
        self._default_profile = default_profile
        self._write = write
        self._sampled_below = round(share_of_preserved * 2**64)

    def record(
        self,
        spans: Sequence[Span],
        labels: NDArray[np.int64],
        assessed: Assessed,
        outcome: str = "",
    ) -> None:
        """Write the records of requests of one micro-batch that was assessed.

        `outcome` is what answered them instead of their verdicts, if anything did: a failure
        mode, or the word for a refusal.
        """
        if self._which == "off" or not spans:
            return
        is_charged = _is_charged(assessed)
        for pending, rows in spans:
            harshest = Verdict(int(assessed.verdicts[rows].max()))
            if harshest is Verdict.PRESERVE and is_charged[rows].any():
                harshest = Verdict.RECORD
            request_id = secrets.token_hex(8)
            if self._takes(harshest, request_id):
                about = self._about(pending, request_id, outcome)
                by_row = partial(_row_fields, labels[rows], assessed, rows)
                name, now = harshest.name.lower(), time.time()
                self._write(DecisionRecord(DECISION, name, now, pending.rows, about, by_row))

    def record_unassessed(
        self,
        batch: Sequence[Pending],
        outcomes: Mapping[Pending, str],
        error: DependencyUnavailable,
    ) -> None:
        """Write the records of a micro-batch that got no verdict; only where all are wanted.

        `outcomes` are those of the requests that were answered all the same, or refused.
        """
        if self._which != "all":
            return
        for pending in batch:
            about = self._about(pending, secrets.token_hex(8), outcomes.get(pending, ""))
            about["problem"] = str(error)
            self._write(DecisionRecord(UNASSESSED, UNASSESSED, time.time(), pending.rows, about))

    def _takes(self, harshest: Verdict, request_id: str) -> bool:
        if self._which == "flagged":
            return harshest is Verdict.REVERSE
        # The id is random, so it is also the draw.
        return harshest is not Verdict.PRESERVE or int(request_id, 16) < self._sampled_below

    def _about(self, pending: Pending, request_id: str, outcome: str) -> dict[str, Any]:
        account = pending.account
        profile = account.profile or self._default_profile
        about = self._of | {
            "request_id": request_id,
            "account_hash": account.hash,
            "profile": profile.value,
            "rows": pending.rows,
        }
        if pending.request_id:
            # Callers write what they like into theirs; whoever knows it can hash it.
            about["caller_id_hash"] = hash_of("request", pending.request_id)
        if account.group:
            about["group_hash"] = account_hash(group_owner(account.group))
        if outcome in {HURRIED, OVERLOADED}:
            about["refused"] = outcome
        elif outcome:
            about["failure_mode"] = outcome
        return about


def hash_of(kind: str, text: str) -> str:
    """How the log names what it must not repeat: as accounts are named, by kind."""
    return hashlib.sha256(f"queen {kind} {text}".encode()).hexdigest()[:16]


def write_to_stream(record: DecisionRecord) -> None:
    """Write a record among the other log lines, at once."""
    logger(LOGGER).info(record.event, **record.fields())


def _is_charged(assessed: Assessed) -> NDArray[np.bool_]:
    """Rows that have changed a ledger, (B,).

    Of an exempt account whose group is spent they are PRESERVE, and recorded all the same.
    """
    facts = assessed.facts
    is_charged: NDArray[np.bool_] = facts["cqs_after"] != facts["cqs_before"]
    is_charged |= facts["group_cqs_after"] != facts["group_cqs_before"]
    return is_charged


def _row_fields(labels: NDArray[np.int64], assessed: Assessed, rows: slice) -> dict[str, Any]:
    return {
        "class": labels.tolist(),
        "verdict": [Verdict(number).name for number in assessed.verdicts[rows].tolist()],
        "cause": [cause_name(bits) for bits in assessed.causes[rows].tolist()],
        "sqs": _rounded(assessed.sqs[rows]),
        **fact_fields(assessed.facts[rows]),
    }


def _rounded(values: NDArray[np.float32]) -> list[float]:
    """To as many digits as give the same float32 again."""
    return [float(f"{value:.9g}") for value in values.tolist()]
