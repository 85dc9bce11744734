"""From a run's outputs to the answers that leave the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import DependencyUnavailable
from queen.method.contracts import BALANCED_L1, Profile
from queen.method.ledger import Verdict
from queen.serving.auth import Account

from .batching import Pending, Rest, Run
from .clients import NO_VERDICT, Assessed, Assessor, PerturberClient
from .decisions import DecisionLog, Span
from .failure import Fallback, SingleArray, answering_in_time, protect_answers
from .guard import PROFILE_CODES, REVERSED, ContractGuard, Profiles, RowIndex
from .measures import Measures
from .peers import PeerOverloaded
from .preserve import Preserver
from .reverse import Reverser
from .settings import FailureMode


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
    """Asks for verdicts on a micro-batch, and answers each row as its verdict says."""

    def __init__(
        self,
        bundle: Bundle,
        policy: Policy,
        sensitivity: Assessor,
        perturber: PerturberClient,
        decisions: DecisionLog,
        measures: Measures,
    ) -> None:
        guard = ContractGuard(measures.violations)
        self._policy = policy
        self._sensitivity = sensitivity
        self._preserver = Preserver(bundle, guard, measures)
        self._reverser = Reverser(bundle, perturber, policy.balanced_l1, guard, measures)
        self._decisions = decisions
        self._measures = measures
        self._fallback = Fallback(policy.failure_mode, measures)

    async def finish(self, run: Run) -> Rest | None:
        """Resolve the requests without a flagged row; return what resolves the others."""
        labels = run.outputs.logits.argmax(axis=1)
        profiles = self._profiles(run.batch)
        try:
            assessed, late = await self._assess(run, labels, profiles)
        except DependencyUnavailable as error:
            self._answer_unassessed(run, labels, profiles, error)
            return None
        if assessed.problem is not None:
            has_verdict = self._answer_partly(run, labels, profiles, assessed, assessed.problem)
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

        def give_up(pending: Pending, _rows: slice) -> str:
            # These are over their budget: no deadline of theirs brings them a label.
            return self._fallback.refuse_hurry(pending)

        margin = self._policy.deadline_margin_seconds
        modes: dict[Pending, str] = {}
        try:
            with answering_in_time(waiting, timeout, margin, give_up):
                answers[flagged] = await self._reverser.answers(
                    run, labels, profiles, flagged, timeout
                )
            for pending, rows in waiting:
                pending.resolve(answers[rows])
        except PeerOverloaded:
            for pending, _rows in waiting:
                self._fallback.refuse_overload(pending)
        except DependencyUnavailable:
            for pending, rows in waiting:
                modes[pending] = self._fallback.protect(pending, protected[rows])
        finally:
            # Also of requests that failed: what they recorded is in the ledgers.
            self._record(waiting, labels, assessed, modes)

    async def _assess(
        self, run: Run, labels: RowIndex, profiles: Profiles
    ) -> tuple[Assessed, dict[Pending, str]]:
        """Verdicts, and the requests that had to be answered before they came."""
        started = perf_counter()
        accounts, index = _distinct_accounts(run.batch)
        timeout = self._policy.assess_timeout_seconds
        patience = min(self._policy.assess_patience_seconds, timeout)

        def give_up(pending: Pending, rows: slice) -> str:
            is_observed = profiles[rows.start] == PROFILE_CODES[Profile.OBSERVE]
            if perf_counter() - started < patience and not is_observed:
                return self._fallback.refuse_hurry(pending)
            return self._fail(run, labels, profiles, (pending, rows))

        margin = self._policy.deadline_margin_seconds
        with answering_in_time(_spans(run.batch), timeout, margin, give_up) as late:
            assessed = await self._sensitivity.assess(
                accounts, index, labels, run.outputs.embeddings, timeout
            )
        self._measures.stages["assess"].observe(perf_counter() - started)
        return assessed, late

    def _record_late(
        self,
        batch: Sequence[Pending],
        labels: RowIndex,
        assessed: Assessed,
        late: Mapping[Pending, str],
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
        modes: Mapping[Pending, str],
    ) -> None:
        """Write the records of requests, each with the failure mode that answered it, if any."""
        for mode in ("", *sorted({*modes.values()} - {""})):
            of_mode = [span for span in spans if modes.get(span[0], "") == mode]
            self._decisions.record(of_mode, labels, assessed, mode)

    def _answer_partly(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        assessed: Assessed,
        problem: DependencyUnavailable,
    ) -> NDArray[np.bool_]:
        """Answer the requests with a row without a verdict; which rows (B,) are the others'."""
        missing: NDArray[np.bool_] = assessed.verdicts == NO_VERDICT
        for _pending, rows in _spans(run.batch):
            missing[rows] = missing[rows].any()
        self._answer_unassessed(run.part(missing), labels[missing], profiles[missing], problem)
        return ~missing

    def _answer_unassessed(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        error: DependencyUnavailable,
    ) -> None:
        """Without verdicts: the failure mode decides, except under observe, which needs none."""
        self._measures.decisions["unassessed"].inc(len(labels))
        is_overload = isinstance(error, PeerOverloaded)
        for span in _spans(run.batch):
            self._fail(run, labels, profiles, span, is_overload=is_overload)
        mode = "" if is_overload else self._policy.failure_mode
        self._decisions.record_unassessed(run.batch, mode, error)

    def _fail(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        span: Span,
        *,
        is_overload: bool = False,
    ) -> str:
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
