"""From a run's outputs to the answers that leave the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import DependencyUnavailable, PeerOverloaded, PeerUnavailable
from queen.method.contracts import BALANCED_L1, Profile
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from queen_inference.answers.fallback import (
    Fallback,
    Outcome,
    SingleArray,
    answering_in_time,
    protect_answers,
)
from queen_inference.answers.guard import ContractGuard
from queen_inference.answers.preserve import Preserver
from queen_inference.answers.profiles import PROFILE_CODES, REVERSED, Profiles, RowIndex
from queen_inference.answers.reverse import Reverser
from queen_inference.batching import Pending, Rest, Run
from queen_inference.decisions.log import DecisionRecorder, Span
from queen_inference.metrics import Measures
from queen_inference.peers.clients import NO_VERDICT, Assessed, Assessor, PerturberClient
from queen_inference.settings import FailureMode


@dataclass(frozen=True)
class Policy:
    """What the operator chose: profile of accounts that name none, failures, and time limits.

    A peer has its timeout, whatever deadlines the callers have. One whose deadline ends the
    wait for a verdict is answered by the failure mode if sensitivity has had the patience, and
    else not at all: nobody may choose the failure mode by asking in a hurry.
    """

    default_profile: Profile
    failure_mode: FailureMode
    assess_timeout_seconds: float
    assess_patience_seconds: float
    reverse_timeout_seconds: float
    deadline_margin_seconds: float
    balanced_l1: float = BALANCED_L1


class Answerer:
    """Asks for verdicts on a micro-batch, and answers each row as its verdict says.

    `attention`, in seconds, is the clock by which a peer is waited for with patience.
    """

    def __init__(
        self,
        bundle: Bundle,
        policy: Policy,
        sensitivity: Assessor,
        perturber: PerturberClient,
        decisions: DecisionRecorder,
        measures: Measures,
        attention: Callable[[], float] = monotonic,
    ) -> None:
        guard = ContractGuard(measures.violations)
        self._policy = policy
        self._sensitivity = sensitivity
        self._preserver = Preserver(bundle, guard, measures)
        self._reverser = Reverser(bundle, perturber, policy.balanced_l1, guard, measures)
        self._decisions = decisions
        self._measures = measures
        self._fallback = Fallback(policy.failure_mode, measures)
        self._attention = attention

    async def finish(self, run: Run) -> Rest | None:
        """Resolve the requests without a flagged row; return what resolves the others."""
        labels = run.outputs.logits.argmax(axis=1)
        profiles = self._profiles(run.batch)
        late: dict[Pending, Outcome] = {}
        try:
            assessed = await self._assess(run, labels, profiles, late)
        except DependencyUnavailable as error:
            self._answer_unassessed(run, labels, profiles, late, error)
            return None
        if assessed.problem is not None:
            missing = _without_verdict(run.batch, assessed)
            self._answer_unassessed(
                run.part(missing), labels[missing], profiles[missing], late, assessed.problem
            )
            has_verdict = ~missing
            run, assessed = run.part(has_verdict), assessed.take(has_verdict)
            labels, profiles = labels[has_verdict], profiles[has_verdict]
        self._count(assessed)
        if late:
            in_time = self._record_late(run.batch, labels, assessed, late)
            run, assessed = run.part(in_time), assessed.take(in_time)
            labels, profiles = labels[in_time], profiles[in_time]
        if not run.batch:
            return None
        answers = self._preserver.answers(run, labels, profiles)
        is_reversed = np.isin(profiles, [PROFILE_CODES[profile] for profile in REVERSED])
        flagged = np.flatnonzero((assessed.verdicts == Verdict.REVERSE) & is_reversed)
        waiting = _deliver_unflagged(run.batch, answers, flagged)
        later = {pending for pending, _rows in waiting}
        answered = [span for span in _spans(run.batch) if span[0] not in later]
        self._decisions.record(answered, labels, assessed)
        if not waiting:
            return None
        rest = self._finish_flagged(run, labels, profiles, answers, flagged, waiting, assessed)
        return Rest([pending for pending, _rows in waiting], rest)

    async def _finish_flagged(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        answers: SingleArray,
        flagged: RowIndex,
        waiting: Sequence[Span],
        assessed: Assessed,
    ) -> None:
        protected = answers.copy()
        protected[flagged] = protect_answers(labels[flagged], answers.shape[1])
        timeout = self._policy.reverse_timeout_seconds

        def give_up(pending: Pending, _rows: slice) -> Outcome:
            # These are over their budget: no deadline of theirs brings them a label.
            return self._fallback.refuse_hurry(pending)

        margin = self._policy.deadline_margin_seconds
        outcomes: dict[Pending, Outcome] = {}
        try:
            with answering_in_time(waiting, timeout, margin, give_up, outcomes):
                answers[flagged] = await self._reverser.answers(
                    run, labels, profiles, flagged, timeout
                )
            for pending, rows in waiting:
                pending.resolve(answers[rows])
        except PeerUnavailable:
            for pending, rows in waiting:
                outcomes.setdefault(pending, self._fallback.protect(pending, protected[rows]))
        except DependencyUnavailable:
            # It is there. What made it late or fail may be the size of what was asked.
            for pending, _rows in waiting:
                outcomes.setdefault(pending, self._fallback.refuse_overload(pending))
        finally:
            # Also of requests that failed: what they recorded is in the ledgers.
            self._record(waiting, labels, assessed, outcomes)

    async def _assess(
        self, run: Run, labels: RowIndex, profiles: Profiles, late: dict[Pending, Outcome]
    ) -> Assessed:
        """Verdicts; requests that have to be answered before they come get among the `late`."""
        started, attentive = perf_counter(), self._attention()
        accounts, index = _distinct_accounts(run.batch)
        timeout = self._policy.assess_timeout_seconds
        patience = min(self._policy.assess_patience_seconds, timeout)

        def give_up(pending: Pending, rows: slice) -> Outcome:
            is_observed = profiles[rows.start] == PROFILE_CODES[Profile.OBSERVE]
            if self._attention() - attentive < patience and not is_observed:
                return self._fallback.refuse_hurry(pending)
            return self._fail(run, labels, profiles, (pending, rows))

        margin = self._policy.deadline_margin_seconds
        with answering_in_time(_spans(run.batch), timeout, margin, give_up, late):
            assessed = await self._sensitivity.assess(
                accounts, index, labels, run.outputs.embeddings, timeout
            )
        self._measures.stages["assess"].observe(perf_counter() - started)
        return assessed

    def _record_late(
        self,
        batch: Sequence[Pending],
        labels: RowIndex,
        assessed: Assessed,
        late: Mapping[Pending, Outcome],
    ) -> NDArray[np.bool_]:
        """Record the requests that were answered before; which rows (B,) are the others'."""
        in_time = np.ones(len(labels), np.bool_)
        spans = [span for span in _spans(batch) if span[0] in late]
        for _pending, rows in spans:
            in_time[rows] = False
        self._record(spans, labels, assessed, late)
        return in_time

    def _record(
        self,
        spans: Sequence[Span],
        labels: RowIndex,
        assessed: Assessed,
        outcomes: Mapping[Pending, Outcome],
    ) -> None:
        """Write the records of requests, each with its outcome."""
        for outcome in ("", *sorted({*outcomes.values()} - {""})):
            alike = [span for span in spans if outcomes.get(span[0], "") == outcome]
            self._decisions.record(alike, labels, assessed, outcome)

    def _answer_unassessed(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        late: Mapping[Pending, Outcome],
        error: DependencyUnavailable,
    ) -> None:
        """Without verdicts: the failure mode decides, except under observe, which needs none."""
        if not run.batch:
            return
        self._measures.decisions["unassessed"].inc(len(labels))
        outcomes = dict(late)
        for pending, rows in _spans(run.batch):
            if pending not in outcomes:
                is_overload = isinstance(error, PeerOverloaded)
                outcomes[pending] = self._fail(
                    run, labels, profiles, (pending, rows), is_overload=is_overload
                )
        self._decisions.record_unassessed(run.batch, outcomes, error)

    def _fail(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        span: Span,
        *,
        is_overload: bool = False,
    ) -> Outcome:
        pending, rows = span
        is_observed = bool(profiles[rows.start] == PROFILE_CODES[Profile.OBSERVE])
        if is_overload and not is_observed:
            return self._fallback.refuse_overload(pending)
        return self._fallback.answer(
            pending,
            labels[rows],
            run.outputs.probabilities[rows],
            is_observed=is_observed,
        )

    def _profiles(self, batch: Sequence[Pending]) -> Profiles:
        default = self._policy.default_profile
        codes = [PROFILE_CODES[pending.account.profile or default] for pending in batch]
        return np.repeat(np.array(codes, np.uint8), [pending.rows for pending in batch])

    def _count(self, assessed: Assessed) -> None:
        counts = np.bincount(assessed.verdicts, minlength=4).tolist()
        for verdict in Verdict:
            self._measures.decisions[verdict.name.lower()].inc(counts[verdict])


def _deliver_unflagged(
    batch: Sequence[Pending], answers: SingleArray, flagged: RowIndex
) -> list[Span]:
    """Resolve the requests without a flagged row; the others, with their rows."""
    waiting = []
    for pending, rows in _spans(batch):
        first, last = np.searchsorted(flagged, (rows.start, rows.stop)) if len(flagged) else (0, 0)
        if first == last:
            pending.resolve(answers[rows])
        else:
            waiting.append((pending, rows))
    return waiting


def _spans(batch: Sequence[Pending]) -> list[Span]:
    spans, start = [], 0
    for pending in batch:
        spans.append((pending, slice(start, start + pending.rows)))
        start += pending.rows
    return spans


def _without_verdict(batch: Sequence[Pending], assessed: Assessed) -> NDArray[np.bool_]:
    """Which rows (B,) are of requests that have no verdict on one of theirs."""
    missing: NDArray[np.bool_] = assessed.verdicts == NO_VERDICT
    for _pending, rows in _spans(batch):
        missing[rows] = missing[rows].any()
    return missing


def _distinct_accounts(
    batch: Sequence[Pending],
) -> tuple[list[Account], NDArray[np.uint32]]:
    """The accounts of a batch and the index of each row's."""
    places: dict[str, int] = {}
    accounts: list[Account] = []
    indices: list[int] = []
    for pending in batch:
        account = pending.account
        if account.account_id not in places:
            places[account.account_id] = len(accounts)
            accounts.append(account)
        indices.append(places[account.account_id])
    rows = [pending.rows for pending in batch]
    return accounts, np.repeat(np.array(indices, np.uint32), rows)
