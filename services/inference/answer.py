"""From a run's outputs to the answers that leave the door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.errors import ContractViolated, DependencyUnavailable
from queen.method.contracts import (
    BALANCED_L1,
    Profile,
    check_answers,
    check_label_kept,
    check_simplex,
)
from queen.method.decoy import sketch_inputs
from queen.method.label_preserving import preserve_label
from queen.method.ledger import Verdict
from queen.method.misdirection import partner_classes, safe_answer
from queen.serving.auth import Account

from .batching import Pending, Run
from .clients import NO_VERDICT, Assessed, Assessor, PerturberClient
from .decisions import DecisionLog, Span
from .failure import Fallback, SingleArray, answering_in_time, protect_answers
from .measures import Measures
from .settings import FailureMode

RowIndex = NDArray[np.int64]
_OBSERVE, _PAPER, _SAFE, _BALANCED, _STRICT = range(5)
_PROFILE_CODES = {
    Profile.OBSERVE: _OBSERVE,
    Profile.PAPER: _PAPER,
    Profile.SAFE: _SAFE,
    Profile.BALANCED: _BALANCED,
    Profile.STRICT: _STRICT,
}
"""Profiles as the wire numbers them; observe and safe never travel."""
_REVERSED = (Profile.PAPER, Profile.BALANCED, Profile.STRICT)
"""Profiles whose flagged rows the perturber answers."""


@dataclass(frozen=True)
class Policy:
    """What the operator chose: profile of accounts that name none, failures, and time limits."""

    default_profile: Profile
    failure_mode: FailureMode
    assess_timeout_seconds: float
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
        self._head = bundle.head
        self._partners = partner_classes(bundle.digest, bundle.manifest.num_classes)
        self._shadows_read_inputs = bundle.manifest.shadows.on == "inputs"
        self._policy = policy
        self._sensitivity = sensitivity
        self._perturber = perturber
        self._decisions = decisions
        self._measures = measures
        self._fallback = Fallback(policy.failure_mode, measures)

    async def finish(self, run: Run) -> Coroutine[Any, Any, None] | None:
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
        answers = self._preserve(run, labels, profiles)
        is_reversed = np.isin(profiles, [_PROFILE_CODES[profile] for profile in _REVERSED])
        flagged = np.flatnonzero((assessed.verdicts == Verdict.REVERSE) & is_reversed)
        waiting = _deliver_unflagged(run.batch, answers, flagged)
        later = {pending for pending, _rows in waiting}
        answered = [span for span in _spans(run.batch) if span[0] not in later]
        self._decisions.record(answered, labels, assessed)
        if not waiting:
            return None
        return self._finish_flagged(run, labels, profiles, answers, flagged, waiting, assessed)

    async def _finish_flagged(
        self,
        run: Run,
        labels: RowIndex,
        profiles: NDArray[np.uint8],
        answers: SingleArray,
        flagged: RowIndex,
        waiting: Sequence[Span],
        assessed: Assessed,
    ) -> None:
        protected = answers.copy()
        protected[flagged] = protect_answers(labels[flagged], answers.shape[1])

        def protect(pending: Pending, rows: slice) -> str:
            return self._fallback.protect(pending, protected[rows])

        requests = [pending for pending, _rows in waiting]
        timeout = self._time_left(requests, self._policy.reverse_timeout_seconds)
        margin = self._policy.deadline_margin_seconds
        modes: dict[Pending, str] = {}
        try:
            with answering_in_time(waiting, timeout, margin, protect) as modes:
                answers[flagged] = await self._reverse(run, labels, profiles, flagged, timeout)
            for pending, rows in waiting:
                pending.resolve(answers[rows])
        except DependencyUnavailable:
            modes = {pending: protect(pending, rows) for pending, rows in waiting} | modes
        finally:
            # Also of requests that failed: what they recorded is in the ledgers.
            self._record(waiting, labels, assessed, modes)

    async def _assess(
        self, run: Run, labels: RowIndex, profiles: NDArray[np.uint8]
    ) -> tuple[Assessed, dict[Pending, str]]:
        """Verdicts, and the requests that had to be answered before they came."""
        started = perf_counter()
        accounts, index = _distinct_accounts(run.batch)
        timeout = self._time_left(run.batch, self._policy.assess_timeout_seconds)

        def give_up(pending: Pending, rows: slice) -> str:
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

    def _preserve(self, run: Run, labels: RowIndex, profiles: NDArray[np.uint8]) -> SingleArray:
        """Answers to all rows that are not reversed, as their profiles say, with the label kept."""
        started = perf_counter()
        outputs = run.outputs
        answers = preserve_label(self._head, outputs.logits, outputs.features)

        def check(rows: RowIndex | slice) -> None:
            check_simplex(answers[rows])
            # Both are argmax only; probabilities can tie in float32 where logits do not.
            check_label_kept(answers[rows], outputs.logits[rows])

        self._hold(check, answers, labels)
        self._misdirect(run, labels, answers, np.flatnonzero(profiles == _SAFE))
        observed = profiles == _OBSERVE
        answers[observed] = outputs.probabilities[observed]
        self._measures.stages["preserve"].observe(perf_counter() - started)
        return answers

    def _misdirect(self, run: Run, labels: RowIndex, answers: SingleArray, rows: RowIndex) -> None:
        """Answer rows under `safe`, whatever their verdict, so that nothing tells it."""
        if not len(rows):
            return
        own, part = run.outputs.probabilities[rows], labels[rows]
        safe = safe_answer(own, part, self._partners)

        def check(chosen: RowIndex | slice) -> None:
            check_answers(Profile.SAFE, safe[chosen], own[chosen], labels=part[chosen])

        self._hold(check, safe, part)
        answers[rows] = safe

    async def _reverse(
        self,
        run: Run,
        labels: RowIndex,
        profiles: NDArray[np.uint8],
        flagged: RowIndex,
        timeout: float,
    ) -> SingleArray:
        """Answers to the flagged rows, in one call; DependencyUnavailable if there are none."""
        started = perf_counter()
        shadow_inputs = run.inputs if self._shadows_read_inputs else run.outputs.features
        probabilities = run.outputs.probabilities[flagged]
        answers = await self._perturber.reverse(
            profiles[flagged],
            shadow_inputs[flagged],
            probabilities,
            run.outputs.embeddings[flagged],
            sketch_inputs(run.inputs[flagged]),
            self._policy.balanced_l1,
            timeout,
        )
        self._measures.stages["reverse"].observe(perf_counter() - started)
        return self._checked(answers.copy(), probabilities, labels[flagged], profiles[flagged])

    def _checked(
        self,
        answers: SingleArray,
        probabilities: SingleArray,
        labels: RowIndex,
        profiles: NDArray[np.uint8],
    ) -> SingleArray:
        for profile in _REVERSED:
            rows = np.flatnonzero(profiles == _PROFILE_CODES[profile])
            part, own = answers[rows], probabilities[rows]

            def check(
                chosen: RowIndex | slice,
                profile: Profile = profile,
                part: SingleArray = part,
                own: SingleArray = own,
            ) -> None:
                l1 = self._policy.balanced_l1
                check_answers(profile, part[chosen], own[chosen], balanced_l1=l1)

            self._hold(check, part, labels[rows])
            answers[rows] = part
        return answers

    def _hold(
        self, check: Callable[[RowIndex | slice], None], answers: SingleArray, labels: RowIndex
    ) -> None:
        """Replace the answers that break their contract by protect answers, and count them."""
        if not len(answers):
            return
        try:
            check(slice(None))
        except ContractViolated:
            rows = [row for row in range(len(answers)) if _violates(check, row)]
            answers[rows] = protect_answers(labels[rows], answers.shape[1])
            self._measures.violations.inc(len(rows))

    def _answer_partly(
        self,
        run: Run,
        labels: RowIndex,
        profiles: NDArray[np.uint8],
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
        profiles: NDArray[np.uint8],
        error: DependencyUnavailable,
    ) -> None:
        """Without verdicts: the failure mode decides, except under observe, which needs none."""
        self._measures.decisions["unassessed"].inc(len(labels))
        for span in _spans(run.batch):
            self._fail(run, labels, profiles, span)
        self._decisions.record_unassessed(run.batch, self._policy.failure_mode, error)

    def _fail(self, run: Run, labels: RowIndex, profiles: NDArray[np.uint8], span: Span) -> str:
        pending, rows = span
        return self._fallback.answer(
            pending,
            labels[rows],
            run.outputs.probabilities[rows],
            is_observed=bool(profiles[rows.start] == _OBSERVE),
        )

    def _profiles(self, batch: Sequence[Pending]) -> NDArray[np.uint8]:
        default = self._policy.default_profile
        codes = [_PROFILE_CODES[pending.account.profile or default] for pending in batch]
        return np.repeat(np.array(codes, np.uint8), [pending.rows for pending in batch])

    def _count(self, assessed: Assessed) -> None:
        counts = np.bincount(assessed.verdicts, minlength=4).tolist()
        for verdict in Verdict:
            self._measures.decisions[verdict.name.lower()].inc(counts[verdict])

    def _time_left(self, batch: Sequence[Pending], cap_seconds: float) -> float:
        # The most patient caller decides: an impatient one must not cost the others
        # their verdicts. It is answered without, before its own deadline.
        latest = max(pending.expires for pending in batch)
        remaining = latest - asyncio.get_running_loop().time()
        return float(min(cap_seconds, remaining - self._policy.deadline_margin_seconds))


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


def _violates(check: Callable[[Any], None], row: int) -> bool:
    try:
        check(slice(row, row + 1))
    except ContractViolated:
        return True
    return False
