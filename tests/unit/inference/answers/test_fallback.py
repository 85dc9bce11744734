"""Answers without a verdict, and when they are given."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from queen_inference.answers.fallback import Fallback, protect_answers
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending
from queen_inference.settings import FailureMode

from queen.decision_line import HURRIED, OVER_BUDGET, OVERLOADED
from queen.errors import DeadlineExceeded, DependencyUnavailable, OverBudget, Overloaded
from queen.serving.auth import Account
from tests.unit.inference.conftest import Counted, granting

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
    pending, fallback = pending_of(account), Fallback(mode, metrics, granting())
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
    answered = Fallback("deny", metrics, granting()).answer(
        pending, LABELS, PROBABILITIES, is_observed=True
    )
    assert answered == ""
    np.testing.assert_array_equal(await pending.answers, PROBABILITIES)
    assert counted(MODES, mode="deny") == 0


@pytest.mark.parametrize("mode", ["protect", "allow", "deny"])
async def test_flagged_rows_are_protected_or_denied(
    account: Account, metrics: InferenceMetrics, counted: Counted, mode: FailureMode
) -> None:
    """Without a perturber they are label-only, in allow mode too, and under deny nothing."""
    pending = pending_of(account)
    outcome = Fallback(mode, metrics, granting()).protect(pending, PROBABILITIES, 1)
    if mode == "deny":
        assert outcome == "deny"
        with pytest.raises(DependencyUnavailable):
            await pending.answers
    else:
        assert outcome == "protect"
        np.testing.assert_array_equal(await pending.answers, PROBABILITIES)
    assert counted(MODES, mode=outcome) == 1


async def test_protect_denies_what_is_not_granted(
    account: Account, metrics: InferenceMetrics, counted: Counted
) -> None:
    """With the words of deny; rows without a verdict and flagged rows are counted apart."""
    fallback = Fallback("protect", metrics, granting(2))
    told = [pending_of(account) for _ in range(4)]
    outcomes = [
        fallback.answer(told[0], LABELS, PROBABILITIES, is_observed=False),
        fallback.protect(told[1], PROBABILITIES, 2),
        fallback.answer(told[2], LABELS, PROBABILITIES, is_observed=False),
        fallback.protect(told[3], PROBABILITIES, 1),
    ]
    assert outcomes == ["protect", "protect", "deny", "deny"]
    for denied in told[2:]:
        with pytest.raises(DependencyUnavailable, match="not available; retry later"):
            await denied.answers
    assert counted(MODES, mode="deny") == 2


async def test_refusals_are_errors_in_any_mode(
    account: Account, metrics: InferenceMetrics, counted: Counted
) -> None:
    """Too full, too hurried, over the budget: counted once, an error each, and no answer."""
    fallback = Fallback("allow", metrics, granting())
    full, hurried, spent = (pending_of(account) for _ in range(3))
    assert [fallback.refuse_overload(full) for _ in range(2)] == [OVERLOADED, ""]
    assert [fallback.refuse_hurry(hurried) for _ in range(2)] == [HURRIED, ""]
    assert [fallback.refuse_over_budget(spent) for _ in range(2)] == [OVER_BUDGET, ""]
    with pytest.raises(OverBudget):
        await spent.answers
    with pytest.raises(Overloaded):
        await full.answers
    with pytest.raises(DeadlineExceeded):
        await hurried.answers
    for reason in (OVERLOADED, HURRIED, OVER_BUDGET):
        assert counted(DROPPED, reason=reason) == 1
    assert counted(MODES, mode="allow") == 0


def test_a_broken_answer_is_replaced_and_counted(
    metrics: InferenceMetrics, counted: Counted
) -> None:
    """In its row alone, and also under deny: the request itself is answered."""
    answers = PROBABILITIES.copy()
    Fallback("deny", metrics, granting()).replace_broken(answers, np.array([1]), LABELS)
    np.testing.assert_array_equal(answers[0], PROBABILITIES[0])
    np.testing.assert_array_equal(answers[1:], protect_answers(LABELS[1:], 3))
    assert counted("queen_contract_violations_total") == 1
