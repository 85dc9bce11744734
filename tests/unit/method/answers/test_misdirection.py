from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from queen.method.answers.label_preserving import softmax
from queen.method.answers.misdirection import (
    balanced_answer,
    keyed_name,
    lift_label,
    partner_classes,
    safe_answer,
)
from queen.method.contracts import BALANCED_L1, SAFE_L1, SAFE_MARGIN, Profile, check_answers
from tests.unit.method.regions import awkward_simplex_rows, bounded

Vector = NDArray[np.float64]
cases = given(st.integers(2, 50), st.integers(0, 2**32 - 1))
DIGEST = "5e" * 32
PINNED = [8, 2, 6, 7, 9, 1, 4, 0, 5, 3]


def _project(answer: Vector, label: int, margin: float) -> Vector:
    """Euclidean projection on {simplex, a_label >= a_j + margin}, by SLSQP."""
    others = [j for j in range(len(answer)) if j != label]
    solution = minimize(
        lambda a: ((a - answer) ** 2).sum(),
        np.eye(len(answer))[label] * 0.5 + 0.5 / len(answer),
        jac=lambda a: 2 * (a - answer),
        method="SLSQP",
        bounds=[(0, 1)] * len(answer),
        constraints=[
            {"type": "eq", "fun": lambda a: a.sum() - 1},
            {"type": "ineq", "fun": lambda a: a[label] - a[others] - margin},
        ],
        options={"maxiter": 500, "ftol": 1e-14},
    )
    projected: Vector = solution.x
    return projected


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("margin", [0.01, 0.3])
def test_lift_label_is_the_euclidean_projection(classes: int, margin: float) -> None:
    """Lowering the others to a common cap is the nearest point at which y leads."""
    rng = np.random.default_rng(classes)
    answers = rng.dirichlet(np.full(classes, 0.7), 12)
    labels = rng.integers(0, classes, 12)
    ours = lift_label(answers, labels, margin)
    for answer, label, point in zip(answers, labels, ours, strict=True):
        np.testing.assert_allclose(point, _project(answer, int(label), margin), atol=2e-5)


@cases
@bounded
def test_lift_label_finds_the_cap_that_sums_to_one(classes: int, seed: int) -> None:
    """Against a root finder on v + margin + sum of min(s_j, v) = 1, ties included."""
    rng = np.random.default_rng(seed)
    answers = awkward_simplex_rows(rng, classes).astype(np.float64)
    answers /= answers.sum(axis=1, keepdims=True)
    labels = rng.integers(0, classes, len(answers))
    ours = lift_label(answers, labels, 0.05)
    for answer, label, point in zip(answers, labels, ours, strict=True):
        others = np.delete(answer, label)
        if answer[label] - others.max() >= 0.05:
            np.testing.assert_array_equal(point, answer)
            continue
        cap = brentq(lambda v, o=others: v + 0.05 + np.minimum(o, v).sum() - 1, 0, 1, xtol=1e-15)
        np.testing.assert_allclose(np.delete(point, label), np.minimum(others, cap), atol=1e-12)
        assert point[label] == pytest.approx(cap + 0.05, abs=1e-12)


def _safe(p: NDArray[np.float32], digest: str = DIGEST) -> NDArray[np.float32]:
    return safe_answer(p, p.argmax(axis=1), partner_classes(digest, p.shape[1]))


@cases
@bounded
def test_safe_answers_hold_their_contract_on_any_input(classes: int, seed: int) -> None:
    """Simplex, label, margin and L1 hold for corners, ties, flat, unconfident and peaked p."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes)
    unconfident = rng.dirichlet(np.full(classes, 1e4), 8).astype(np.float32)
    rows = np.concatenate([p, unconfident])
    check_answers(Profile.SAFE, _safe(rows), rows)


@cases
@bounded
def test_safe_answers_keep_the_label_that_the_logits_chose(classes: int, seed: int) -> None:
    """Where the two largest p are equal in float32, either of them may be the label."""
    p = awkward_simplex_rows(np.random.default_rng(seed), classes)
    second = np.argsort(p, axis=1, kind="stable")[:, -2]
    rows = np.arange(len(p))
    p[rows, second] = p.max(axis=1)
    p = (p / p.sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    for labels in (p.argmax(axis=1), second):
        answers = safe_answer(p, labels, partner_classes(DIGEST, classes))
        check_answers(Profile.SAFE, answers, p, labels=labels)


@cases
@bounded
def test_safe_labels_survive_half_precision_and_three_decimals(classes: int, seed: int) -> None:
    """The margin is there so that a caller who rounds still reads the same label."""
    p = awkward_simplex_rows(np.random.default_rng(seed), classes)
    answers, labels = _safe(p), p.argmax(axis=1)
    np.testing.assert_array_equal(answers.astype(np.float16).argmax(axis=1), labels)
    np.testing.assert_array_equal(answers.round(3).argmax(axis=1), labels)


@cases
@bounded
def test_safe_answers_stand_a_softmax_in_half_precision(classes: int, seed: int) -> None:
    """Where p sums to 1 only within 1e-3, the answer still sums to 1 within 1e-6."""
    p = awkward_simplex_rows(np.random.default_rng(seed), classes)
    p = p.astype(np.float16).astype(np.float32)
    check_answers(Profile.SAFE, _safe(p), p)


def test_safe_answers_lift_a_label_that_does_not_lead() -> None:
    """The label is that of the logits, and rounding can give another class the largest p."""
    p = np.array([[0.5, 0.5, 0.0], [0.49, 0.51, 0.0]], np.float32)
    answers = safe_answer(p, np.array([1, 0]), partner_classes(DIGEST, 3))
    assert answers.argmax(axis=1).tolist() == [1, 0]
    assert np.abs(answers - p).sum(axis=1).max() <= SAFE_L1


def test_a_sure_label_shares_its_answer_with_its_partner() -> None:
    """With room enough, a copy is left to guess between two classes, whatever p was."""
    partners = partner_classes(DIGEST, 10)
    for label in range(10):
        p = np.full((1, 10), 0.005, np.float32)
        p[0, label] = 0.955
        answer = _safe(p)[0]
        others = np.delete(np.arange(10), [label, partners[label]])
        assert 0 < answer[label] - answer[partners[label]] < 0.05
        assert answer[others].max() < 0.005
        assert answer[partners[label]] > 0.4


def test_safe_answers_go_as_far_as_their_contract_lets_them() -> None:
    """A target that is too far is cut at L1 = 1, and one that is near enough is taken whole."""
    partners = partner_classes(DIGEST, 3)
    label, partner = 0, int(partners[0])
    sure, near = np.zeros((2, 1, 3), np.float32)
    sure[0, label] = 1.0
    near[0, label], near[0, partner] = 0.6, 0.4
    # A corner is an L1 of 1 - m from its target: nearly, but not quite, at the bound.
    assert SAFE_L1 - 0.02 < np.abs(_safe(sure) - sure).sum() <= SAFE_L1
    answer = _safe(near)[0]
    assert answer[label] - answer[partner] == pytest.approx(SAFE_MARGIN, abs=2e-4)
    far = np.full((1, 50), 0.97 / 49, np.float32)
    far[0, 7] = 0.03
    # In whole hundredths of a way that has a length below 2.
    assert SAFE_L1 - 0.02 < np.abs(_safe(far) - far).sum() <= SAFE_L1


def test_safe_answers_tell_no_digit_of_the_protectees() -> None:
    """Queries that are nearly the same have the same answer; no regression on p finds its tail."""
    rng = np.random.default_rng(5)
    logits = 3 * rng.normal(size=(3000, 6))
    logits[:, 0] += 6
    own = softmax(logits)
    answers = _safe(own.astype(np.float32))
    beside = _safe(softmax(logits + 1e-4 * rng.normal(size=logits.shape)).astype(np.float32))
    assert (answers == beside).all(axis=1).mean() > 0.98
    others = np.setdiff1d(np.arange(6), [0, partner_classes(DIGEST, 6)[0]])
    sure = own.max(axis=1) > 0.97
    assert len(np.unique(answers[sure][:, others], axis=0)) < 20


@cases
@bounded
def test_partners_are_one_cycle_without_fixed_points(classes: int, seed: int) -> None:
    """From any class, its partners lead through all others before they lead back."""
    partners = partner_classes(f"{seed:064x}", classes)
    assert sorted(partners.tolist()) == list(range(classes))
    seen, at = [0], int(partners[0])
    while at != 0:
        seen.append(at)
        at = int(partners[at])
    assert len(seen) == classes
    assert partners.dtype == np.int64


def test_partners_are_the_bundles_and_do_not_change() -> None:
    """Another order after an upgrade would be another answer to the same query."""
    assert partner_classes(DIGEST, 10).tolist() == PINNED
    assert partner_classes("00" * 32, 10).tolist() != PINNED
    assert partner_classes(DIGEST, 2).tolist() == [1, 0]


@given(st.integers(2, 50), st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.5, 1.2, 1.9, 2.0]))
@bounded
def test_balanced_answers_hold_their_contract_on_any_input(
    classes: int, seed: int, most: float
) -> None:
    """Simplex and the stated L1, from any p, a softmax in half precision included."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes)
    partners = partner_classes(DIGEST, classes)
    for own in (p, p.astype(np.float16).astype(np.float32)):
        answers = balanced_answer(own, partners, most)
        check_answers(Profile.BALANCED, answers, own, balanced_l1=most)


def test_balanced_answers_exchange_the_label_and_its_partner() -> None:
    """All of the distance is used, toward p with two classes exchanged, and no more."""
    p = np.random.default_rng(1).dirichlet(np.full(6, 0.3), 200).astype(np.float32)
    partners, rows, labels = partner_classes(DIGEST, 6), np.arange(200), p.argmax(axis=1)
    swapped = p.copy()
    swapped[rows, labels] = p[rows, partners[labels]]
    swapped[rows, partners[labels]] = p[rows, labels]
    answers = balanced_answer(p, partners, BALANCED_L1)
    length = np.abs(swapped - p).sum(axis=1)
    share = np.minimum(BALANCED_L1 / length, 1.0)
    np.testing.assert_allclose(answers, p + share[:, None] * (swapped - p), atol=2e-4)
    near = length < BALANCED_L1 - 1e-3
    assert 20 < near.sum() < 180
    np.testing.assert_allclose(answers[near], swapped[near], atol=1e-6)


def test_partners_under_a_secret_are_others() -> None:
    """Who has the bundle but not the secret does not have the cycle of `balanced`."""
    one, other = keyed_name(b"one secret", DIGEST), keyed_name(b"another secret", DIGEST)
    assert partner_classes(one, 10).tolist() == partner_classes(one, 10).tolist()
    assert len({tuple(partner_classes(name, 10)) for name in (one, other, DIGEST)}) == 3


@cases
@bounded
def test_a_row_is_answered_as_if_it_were_alone(classes: int, seed: int) -> None:
    """Safe and balanced: the same bits by itself, in a batch, and in a batch turned around."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes)
    partners = partner_classes(DIGEST, classes)
    safe, balanced = _safe(p), balanced_answer(p, partners, BALANCED_L1)
    np.testing.assert_array_equal(_safe(p[::-1])[::-1], safe)
    for row in range(len(p)):
        one = slice(row, row + 1)
        np.testing.assert_array_equal(_safe(p[one]), safe[one])
        alone = balanced_answer(p[one], partners, BALANCED_L1)
        np.testing.assert_array_equal(alone, balanced[one])


def test_no_rows_have_no_answers() -> None:
    """An empty part of a batch passes through."""
    none = np.empty((0, 4), np.float32)
    partners = partner_classes(DIGEST, 4)
    assert _safe(none).shape == balanced_answer(none, partners, 1.0).shape == (0, 4)
