"""The answerer: asks for verdicts on a micro-batch, and answers each row by its verdict.

Shapes: B queries of a micro-batch, C classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter

import numpy as np

from queen.errors import (
    DependencyUnavailable,
    LedgerCorrupt,
    LedgerFull,
    PeerOverloaded,
    PeerUnavailable,
    QueenError,
)
from queen.failures import Failure
from queen.method.contracts import BALANCED_L1, Profile
from queen.method.ledger import Verdict
from queen.serving.fairness.room import Room
from queen_inference.answers.fallback import (
    Fallback,
    Outcome,
    protect_answers,
)
from queen_inference.answers.hold import Hold
from queen_inference.answers.preserve import Preserver
from queen_inference.answers.reverse import REVERSED, Reverser
from queen_inference.decisions.log import DecisionRecorder
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import (
    MicroBatch,
    Pending,
    Rest,
    RowIndex,
    Span,
    answering_in_time,
)
from queen_inference.peers.sensitivity import NO_VERDICT, Assessed, Assessor, Share
from queen_inference.protectee import SingleArray
from queen_inference.settings import FailureMode, HeldAnswers


@dataclass(frozen=True)
class Policy:
    """The operator's choices: the failure mode, the time limits, and the profiles' distance.

    A peer gets its full timeout, whatever deadlines the callers set. If a request's own deadline
    ends the wait for its verdict, the failure mode answers it once sensitivity has had
    `assess_patience_seconds`; earlier, the request is refused. Otherwise callers could choose the
    failure mode by short deadlines.
    """

    failure_mode: FailureMode
    assess_timeout_seconds: float
    assess_patience_seconds: float
    reverse_timeout_seconds: float
    deadline_margin_seconds: float
    balanced_l1: float = BALANCED_L1
    flagged_rows: int = 4096
    """Most flagged rows that wait for the perturber, of which an owner holds at most half."""
    held_answers: HeldAnswers = "none"
    hold_seconds: float = 0.01
    unassessed_rows: int = 1000
    """Most rows that an owner gets under `protect` while verdicts, or reversed answers, fail."""

    @property
    def held_profiles(self) -> Sequence[Profile]:
        """Profiles whose answers leave no sooner than `hold_seconds` after their requests."""
        profiles = {"reversed": REVERSED, "all": tuple(Profile)}
        return profiles.get(self.held_answers, ())


@dataclass(frozen=True, eq=False)
class Clocks:
    """`listened`, in seconds, measures how long the answerer has waited for a peer.

    `hold` keeps answers until their moment.
    """

    listened: Callable[[], float] = monotonic
    hold: Hold = field(default_factory=Hold)


_REFUSED = {
    Failure.LEDGER_FULL: LedgerFull("the ledger store takes no records"),
    Failure.LEDGER_DAMAGED: LedgerCorrupt("the ledger is damaged"),
}
"""Failures that no failure mode answers, with the problem that the decision log tells."""


class Answerer:
    """Asks for verdicts on a micro-batch, and answers each row as its verdict says.

    Where answers are held, the perturber answers all rows of an owner that is over, whatever their
    verdicts, and no answer leaves before a time that both ways need: the time of an answer does not
    tell which way it came.
    """

    def __init__(
        self,
        policy: Policy,
        sensitivity: Assessor,
        preserver: Preserver,
        reverser: Reverser,
        fallback: Fallback,
        decisions: DecisionRecorder,
        metrics: InferenceMetrics,
        clocks: Clocks,
    ) -> None:
        self._policy = policy
        self._held_profiles = frozenset(policy.held_profiles)
        self._flagged_room = Room(policy.flagged_rows)
        self._sensitivity = sensitivity
        self._preserver = preserver
        self._reverser = reverser
        self._fallback = fallback
        self._decisions = decisions
        self._metrics = metrics
        self._clock, self._hold = clocks.listened, clocks.hold

    async def finish(self, batch: MicroBatch) -> Sequence[Rest]:
        """Resolve the requests without a flagged row; return the others, by owner.

        Requests that get no verdict, get it too late or are refused are resolved as well.
        """
        late: dict[Pending, Outcome] = {}
        try:
            assessed = await self._assess(batch, late)
        except DependencyUnavailable as error:
            self._answer_unassessed(batch, late, error)
            return []
        self._fallback.unassessed.note(batch, assessed, late)
        if (assessed.verdicts == NO_VERDICT).any():
            is_known = [bool((assessed.verdicts[rows] != NO_VERDICT).all()) for _, rows in batch]
            self._answer_failed(batch, assessed, late)
            batch, assessed = _part(batch, assessed, is_known)
        self._count(assessed)
        if late:
            answered = [span for span in batch if span[0] in late]
            self._decisions.record(answered, batch.labels, assessed, late)
            in_time = [request not in late for request in batch.requests]
            batch, assessed = _part(batch, assessed, in_time)
        return self._deliver(batch, assessed) if len(batch) else []

    async def _assess(self, batch: MicroBatch, late: dict[Pending, Outcome]) -> Assessed:
        """Verdicts on a micro-batch; requests answered before these came are put into `late`."""
        started, began = perf_counter(), self._clock()
        timeout = self._policy.assess_timeout_seconds
        patience = min(self._policy.assess_patience_seconds, timeout)

        def give_up(pending: Pending, rows: slice) -> Outcome:
            if self._clock() - began < patience and not _is_observed(pending):
                return self._fallback.refuse_hurry(pending)
            return self._answer_without_verdict(batch, (pending, rows))

        margin = self._policy.deadline_margin_seconds
        with answering_in_time(batch, timeout, margin, give_up, late):
            assessed = await self._sensitivity.assess(Share.of(batch), timeout)
        self._metrics.stages["assess"].observe(perf_counter() - started)
        return assessed

    def _deliver(self, batch: MicroBatch, assessed: Assessed) -> list[Rest]:
        refused = self._refuse(batch, assessed)
        answers = self._preserver.answers(batch)
        asked = self._asked_rows(batch, assessed)
        answered: list[Span] = []
        waiting: dict[str, list[Span]] = {}
        for request, rows in batch:
            first, last = _positions(asked, rows)
            if first == last:
                answered.append((request, rows))
            elif self._flagged_room.admit(request.payer.owner, last - first):
                waiting.setdefault(request.payer.owner, []).append((request, rows))
            else:
                refused[request] = self._fallback.refuse_overload(request)
                answered.append((request, rows))
        self._release(answered, answers)
        self._decisions.record(answered, batch.labels, assessed, refused)
        return [
            Rest(
                [request for request, _ in spans],
                self._finish_asked(batch, assessed, answers, asked, spans),
            )
            for spans in waiting.values()
        ]

    def _asked_rows(self, batch: MicroBatch, assessed: Assessed) -> RowIndex:
        """The rows that the perturber is asked about, ascending; not all need be flagged."""
        is_asked = assessed.verdicts == Verdict.REVERSE
        if self._policy.held_answers != "none":
            is_asked |= assessed.secrets != 0
        if is_asked.any():
            is_asked &= batch.rows_under(*REVERSED)
        return np.flatnonzero(is_asked)

    def _release(self, spans: Sequence[Span], answers: SingleArray) -> None:
        """Answer requests, at their moment if they are held; a deadline that is sooner counts."""
        now, margin = asyncio.get_running_loop().time(), self._policy.deadline_margin_seconds
        earliest = now + self._policy.hold_seconds - perf_counter()
        for pending, rows in spans:
            resolve = partial(pending.resolve, answers[rows])
            moment = min(earliest + pending.arrived, pending.expires - margin)
            if pending.account.profile in self._held_profiles and moment > now:
                self._hold.at(moment, resolve)
            else:
                resolve()

    def _refuse(self, batch: MicroBatch, assessed: Assessed) -> dict[Pending, Outcome]:
        """Refuse the requests under `refuse` that hold a REVERSE."""
        refused: dict[Pending, Outcome] = {}
        is_refused = batch.rows_under(Profile.REFUSE) & (assessed.verdicts == Verdict.REVERSE)
        if is_refused.any():
            for request, rows in batch:
                if is_refused[rows].any():
                    refused[request] = self._fallback.refuse_over_budget(request)
        return refused

    async def _finish_asked(
        self,
        batch: MicroBatch,
        assessed: Assessed,
        answers: SingleArray,
        asked: RowIndex,
        waiting: Sequence[Span],
    ) -> None:
        """Answer the requests of one owner, which hold room for the rows that are asked about."""
        owner = waiting[0][0].payer.owner
        positions = [np.arange(*_positions(asked, rows)) for _, rows in waiting]
        own = asked[np.concatenate(positions)]
        is_flagged = assessed.verdicts[own] == Verdict.REVERSE
        flagged = own[is_flagged]
        timeout = self._policy.reverse_timeout_seconds

        def give_up(pending: Pending, _rows: slice) -> Outcome:
            # Their account is over its budget: no deadline, however short, brings it a label.
            return self._fallback.refuse_hurry(pending)

        margin = self._policy.deadline_margin_seconds
        outcomes: dict[Pending, Outcome] = {}
        try:
            with answering_in_time(waiting, timeout, margin, give_up, outcomes):
                reversed_answers = await self._reverser.answers(
                    batch, own, assessed.secrets[own], timeout
                )
            answers[flagged] = reversed_answers[is_flagged]
            self._fallback.unassessed.note_reversed(owner)
            self._release(waiting, answers)
        except PeerUnavailable:
            answers[flagged] = protect_answers(batch.labels[flagged], answers.shape[1])
            for pending, rows in waiting:
                first, last = _positions(flagged, rows)
                if first == last:
                    pending.resolve(answers[rows])
                else:
                    outcome = self._fallback.protect(pending, answers[rows], last - first)
                    outcomes.setdefault(pending, outcome)
        except DependencyUnavailable:
            # The perturber serves, but a large request may have made it late or made it fail.
            for pending, _rows in waiting:
                outcomes.setdefault(pending, self._fallback.refuse_overload(pending))
        finally:
            self._flagged_room.release(owner, len(own))
            # Failed requests are recorded, too: the ledgers hold their records.
            self._decisions.record(waiting, batch.labels, assessed, outcomes)

    def _answer_failed(
        self, batch: MicroBatch, assessed: Assessed, late: Mapping[Pending, Outcome]
    ) -> None:
        """Answer the requests with a query that has no verdict, each by its gravest failure."""
        spans = list(batch)
        lacks = np.array([(assessed.verdicts[rows] == NO_VERDICT).any() for _, rows in spans])
        gravest = np.array([assessed.failures[rows].max() for _, rows in spans])
        for failure, error in _REFUSED.items():
            refused = batch.part((lacks & (gravest == failure)).tolist())
            self._refuse_failed(refused, late, failure, error)
        rest = batch.part((lacks & ~np.isin(gravest, list(_REFUSED))).tolist())
        problem = assessed.problem or DependencyUnavailable("expected verdicts, got none")
        self._answer_unassessed(rest, late, problem)

    def _refuse_failed(
        self,
        batch: MicroBatch,
        late: Mapping[Pending, Outcome],
        failure: Failure,
        error: QueenError,
    ) -> None:
        """Refuse requests that cannot be recorded, or whose ledger is damaged, and record them.

        Answers under `observe` depend on no ledger.
        """
        if not len(batch):
            return
        self._metrics.decisions["unassessed"].inc(len(batch))
        outcomes = dict(late)
        for pending, rows in batch:
            if pending in outcomes:
                continue
            if _is_observed(pending):
                outcomes[pending] = self._answer_without_verdict(batch, (pending, rows))
            else:
                outcomes[pending] = self._fallback.refuse_failed(pending, failure)
        self._decisions.record_unassessed(batch.requests, outcomes, error)

    def _answer_unassessed(
        self, batch: MicroBatch, late: Mapping[Pending, Outcome], error: DependencyUnavailable
    ) -> None:
        """Answer requests without verdicts, except those that were `late`, and record them."""
        if not len(batch):
            return
        self._metrics.decisions["unassessed"].inc(len(batch))
        is_overload = isinstance(error, PeerOverloaded)
        outcomes = dict(late)
        for pending, rows in batch:
            if pending in outcomes:
                continue
            if is_overload and not _is_observed(pending):
                outcomes[pending] = self._fallback.refuse_overload(pending)
            else:
                outcomes[pending] = self._answer_without_verdict(batch, (pending, rows))
        self._decisions.record_unassessed(batch.requests, outcomes, error)

    def _answer_without_verdict(self, batch: MicroBatch, span: Span) -> Outcome:
        pending, rows = span
        return self._fallback.answer(
            pending,
            batch.labels[rows],
            batch.outputs.probabilities[rows],
            is_observed=_is_observed(pending),
        )

    def _count(self, assessed: Assessed) -> None:
        counts = np.bincount(assessed.verdicts, minlength=4).tolist()
        for verdict in Verdict:
            self._metrics.decisions[verdict.name.lower()].inc(counts[verdict])


def _is_observed(pending: Pending) -> bool:
    return pending.account.profile is Profile.OBSERVE


def _positions(chosen: RowIndex, rows: slice) -> Sequence[int]:
    """The positions in some rows, first and last, between which the `rows` lie."""
    if not len(chosen):
        return 0, 0
    first, last = np.searchsorted(chosen, (rows.start, rows.stop)).tolist()
    return first, last


def _part(
    batch: MicroBatch, assessed: Assessed, is_kept: Sequence[bool]
) -> tuple[MicroBatch, Assessed]:
    return batch.part(is_kept), assessed.part(batch.by_row(is_kept, np.bool_))
