from __future__ import annotations

import numpy as np
import pytest

from queen.errors import ContractViolated
from queen.method.contracts import (
    SCOPES,
    Profile,
    broken_rows,
    check_answers,
    check_label_kept,
    check_simplex,
)
from queen.method.enforcement import Scope

OWN = np.array([[0.7, 0.2, 0.1]], np.float32)


@pytest.mark.parametrize(
    "row",
    [
        [0.5, 0.6, -0.1],
        [0.5, 0.3, 0.3],
        [0.5, 0.4, 0.0999],
        [np.nan, 0.5, 0.5],
        [np.inf, 0.0, 0.0],
        [2.0, -3.0, 1.5],
    ],
)
@pytest.mark.parametrize("profile", list(Profile))
def test_a_row_off_the_simplex_breaks_every_contract(profile: Profile, row: list[float]) -> None:
    """Negative, not summing to 1, NaN, infinite, or logits: refused under every profile."""
    with pytest.raises(ContractViolated):
        check_answers(profile, np.array([row]), OWN)


def test_one_bad_row_among_good_ones_is_found() -> None:
    """The check is on every row, not on their mean."""
    rows = np.repeat(OWN, 100, axis=0)
    check_simplex(rows)
    rows[63] = [0.7, 0.2, 0.2]
    with pytest.raises(ContractViolated, match="rows that sum to 1"):
        check_simplex(rows)


def test_a_sum_may_be_off_by_rounding_only() -> None:
    """1e-6 is the tolerance: a float32 row passes, ten times more does not."""
    check_simplex(np.array([[0.5, 0.5 + 9e-7]]))
    with pytest.raises(ContractViolated):
        check_simplex(np.array([[0.5, 0.5 + 1e-5]]))


@pytest.mark.parametrize("profile", list(Profile))
def test_no_rows_hold_every_contract(profile: Profile) -> None:
    """An empty part of a batch is nothing to complain about."""
    empty = np.empty((0, 3), np.float32)
    check_answers(profile, empty, empty)


def test_paper_may_flip_the_label() -> None:
    """The paper's answer promises the simplex only."""
    check_answers(Profile.PAPER, OWN[:, ::-1], OWN)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([0.2, 0.7, 0.1], "every label kept, got 1 changed"),
        ([0.402, 0.398, 0.2], "margin of at least 0.01"),
        ([0.5, 0.5, 0.0], "margin of at least 0.01"),
    ],
)
def test_safe_requires_label_and_margin(row: list[float], problem: str) -> None:
    """A changed label, a thin lead and a tie are each refused, in words."""
    with pytest.raises(ContractViolated, match=problem):
        check_answers(Profile.SAFE, np.array([row], np.float32), OWN)


def test_safe_requires_an_l1_distance_of_at_most_one() -> None:
    """An answer with the same label, but too far from the protectee's own, is refused."""
    own = np.array([[0.4, 0.3, 0.3]], np.float32)
    check_answers(Profile.SAFE, np.array([[0.89, 0.06, 0.05]], np.float32), own)
    with pytest.raises(ContractViolated, match="L1 distance of at most 1"):
        check_answers(Profile.SAFE, np.array([[0.91, 0.05, 0.04]], np.float32), own)


def test_balanced_requires_the_stated_distance() -> None:
    """1.2 unless an operator states another; the label may change."""
    own = np.array([[0.9, 0.05, 0.05]], np.float32)
    near, far = np.array([[[0.31, 0.64, 0.05]], [[0.29, 0.66, 0.05]]], np.float32)
    check_answers(Profile.BALANCED, near, own)
    with pytest.raises(ContractViolated, match=r"L1 distance of at most 1\.2"):
        check_answers(Profile.BALANCED, far, own)
    check_answers(Profile.BALANCED, far, own, balanced_l1=1.3)
    with pytest.raises(ContractViolated, match=r"L1 distance of at most 0\.5"):
        check_answers(Profile.BALANCED, near, own, balanced_l1=0.5)


def test_strict_may_answer_anything_on_the_simplex() -> None:
    """A decoy knows nothing of p, so nothing of p can be required of it."""
    check_answers(Profile.STRICT, np.array([[0.0, 0.0, 1.0]], np.float32), OWN)


def test_refuse_requires_the_label() -> None:
    """No answer under it names another class; its numbers may differ."""
    check_answers(Profile.REFUSE, np.array([[0.5, 0.4, 0.1]], np.float32), OWN)
    with pytest.raises(ContractViolated, match="every label kept, got 1 changed"):
        check_answers(Profile.REFUSE, OWN[:, ::-1], OWN)


def test_every_profile_has_a_scope() -> None:
    """Answers that mean nothing are for whole accounts; the mild ones for the paper's queries."""
    assert set(SCOPES) == set(Profile)
    wide = {profile for profile, scope in SCOPES.items() if scope is Scope.ACCOUNT}
    assert wide == {Profile.BALANCED, Profile.STRICT}
    assert {profile for profile, scope in SCOPES.items() if scope is Scope.REPEATED} == {
        Profile.REFUSE
    }
    assert set(SCOPES.values()) == {Scope.QUERY, Scope.ACCOUNT, Scope.REPEATED}


def test_observe_requires_the_very_same_bits() -> None:
    """The one profile that changes nothing may not change the last bit."""
    check_answers(Profile.OBSERVE, OWN.copy(), OWN)
    other = OWN.copy()
    other[0, 0] = np.nextafter(other[0, 0], np.float32(0))
    with pytest.raises(ContractViolated, match="protectee's own"):
        check_answers(Profile.OBSERVE, other, OWN)


def test_a_kept_label_is_counted_row_by_row() -> None:
    """The message says how many labels changed."""
    rows = np.eye(3)
    check_label_kept(rows, rows)
    with pytest.raises(ContractViolated, match="got 2 changed"):
        check_label_kept(rows, rows[[0, 2, 1]])


def test_a_label_that_logits_tell_apart_counts_where_probabilities_tie() -> None:
    """Logits of 20 and of a float32 step more give one probability, but only one is the label."""
    tied = np.array([[0.5, 0.5, 0.0]], np.float32)
    answers = np.array([[0.38, 0.62, 0.0]], np.float32)
    check_answers(Profile.SAFE, answers, tied, labels=np.array([1]))
    with pytest.raises(ContractViolated, match="1 changed"):
        check_answers(Profile.SAFE, answers, tied, labels=np.array([0]))
    with pytest.raises(ContractViolated, match="1 changed"):
        check_answers(Profile.SAFE, answers, tied)


def test_broken_rows_are_looked_for_only_if_there_are_any() -> None:
    """All rows are checked at once; only a refusal costs a check of every row."""
    answers, calls = np.eye(4), []

    def check(rows: slice) -> None:
        calls.append(rows)
        check_simplex(answers[rows])

    assert broken_rows(check, 4).tolist() == []
    assert len(calls) == 1
    answers[[1, 3]] *= 2
    assert broken_rows(check, 4).tolist() == [1, 3]
    assert broken_rows(check, 0).tolist() == []
    assert len(calls) == 1 + 5
