"""Answers without a verdict, and when they are given."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from queen_inference.answers.fallback import Fallback, answering_in_time, protect_answers
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending
from queen_inference.settings import FailureMode

from queen.decision_line import HURRIED, OVERLOADED
from queen.errors import DeadlineExceeded, DependencyUnavailable, Overloaded
from queen.serving.auth import Account
from tests.unit.inference.conftest import Counted

MODES, DROPPED = "queen_failure_mode_total", "queen_dropped_requests_total"
PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], np.float32)
LABELS = PROBABILITIES.argmax(axis=1)


def pending_of(account: Account, expires: float = np.inf) -> Pending:
    """A request of two queries."""
    answers: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
    return Pending(account, np.zeros((2, 1)), expires, 0.0, answers)


def test_protect_answers_tell_the_label_alone() -> None:
    """0.9 on the label, and the rest shared evenly."""
    expected = np.array([[0.05, 0.9, 0.05], [0.9, 0.05, 0.05]], np.float32)
    np.testing.assert_allclose(protect_answers(LABELS, 3), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["protect", "allow", "deny"])
async def test_the_mode_decides_the_answer(
    account: Account, metrics: InferenceMetrics, counted: Counted, mode: FailureMode
) -> None:
    """Label-only, clean or an error; counted once."""
    pending, fallback = pending_of(account), Fallback(mode, metrics)
    assert fallback.answer(pending, LABELS, PROBABILITIES, is_observed=False) == mode
    if mode == "deny":
        with pytest.raises(DependencyUnavailable):
            await pending.answers
    else:
        expected = PROBABILITIES if mode == "allow" else protect_answers(LABELS, 3)
        np.testing.assert_array_equal(await pending.answers, expected)
    assert fallback.answer(pending, LABELS, PROBABILITIES, is_observed=False) == ""
    assert counted(MODES, mode=mode) == 1


async def test_observe_needs_no_verdict(
    account: Account, metrics: InferenceMetrics, counted: Counted
) -> None:
    """Its answer is the protectee's in any mode, and no failure."""
    pending = pending_of(account)
    answered = Fallback("deny", metrics).answer(pending, LABELS, PROBABILITIES, is_observed=True)
    assert answered == ""
    np.testing.assert_array_equal(await pending.answers, PROBABILITIES)
    assert counted(MODES, mode="deny") == 0


@pytest.mark.parametrize("mode", ["protect", "allow", "deny"])
async def test_flagged_rows_are_protected_or_denied(
    account: Account, metrics: InferenceMetrics, counted: Counted, mode: FailureMode
) -> None:
    """Without a perturber they are label-only, in allow mode too, and under deny nothing."""
    pending = pending_of(account)
    outcome = Fallback(mode, metrics).protect(pending, PROBABILITIES)
    if mode == "deny":
        assert outcome == "deny"
        with pytest.raises(DependencyUnavailable):
            await pending.answers
    else:
        assert outcome == "protect"
        np.testing.assert_array_equal(await pending.answers, PROBABILITIES)
    assert counted(MODES, mode=outcome) == 1


async def test_refusals_are_errors_in_any_mode(
    account: Account, metrics: InferenceMetrics, counted: Counted
) -> None:
    """Too full and too hurried: counted once, an error each, and nothing of the answer."""
    fallback = Fallback("allow", metrics)
    full, hurried = pending_of(account), pending_of(account)
    assert [fallback.refuse_overload(full) for _ in range(2)] == [OVERLOADED, ""]
    assert [fallback.refuse_hurry(hurried) for _ in range(2)] == [HURRIED, ""]
    with pytest.raises(Overloaded):
        await full.answers
    with pytest.raises(DeadlineExceeded):
        await hurried.answers
    assert [counted(DROPPED, reason=reason) for reason in (OVERLOADED, HURRIED)] == [1, 1]
    assert counted(MODES, mode="allow") == 0


async def test_who_cannot_wait_is_answered_before_its_deadline(account: Account) -> None:
    """Of three requests the hurried one is answered; gone and patient ones are left alone."""
    now = asyncio.get_running_loop().time()
    hurried, gone, patient = (pending_of(account, now + wait) for wait in (0.2, 0.2, 60.0))
    gone.answers.cancel()
    spans = [(one, slice(0, 2)) for one in (hurried, gone, patient)]

    def answer(pending: Pending, rows: slice) -> str:
        assert asyncio.get_running_loop().time() < pending.expires
        pending.resolve(PROBABILITIES[rows])
        return "protect"

    late: dict[Pending, str] = {}
    with answering_in_time(spans, 30.0, 0.1, answer, late):
        await hurried.answers
    assert late == {hurried: "protect"}
    assert not patient.answers.done()


async def test_nobody_is_answered_once_the_peer_has(account: Account) -> None:
    """The timers end with the waiting."""
    now = asyncio.get_running_loop().time()
    hurried = pending_of(account, now + 0.05)

    def answer(pending: Pending, rows: slice) -> str:
        raise AssertionError("answered after the peer")

    late: dict[Pending, str] = {}
    with answering_in_time([(hurried, slice(0, 2))], 30.0, 0.01, answer, late):
        pass
    await asyncio.sleep(0.1)
    assert late == {}
    assert not hurried.answers.done()
