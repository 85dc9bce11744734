from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from queen.method.contracts import SAFE_L1, SAFE_MARGIN, Profile, check_answers
from queen.method.gradient_reverse import gradient_reverse
from queen.method.profiles import keep_argmax, paper_answer, safe_answer

from .regions import awkward_simplex_rows, bounded

Vector = NDArray[np.float64]
cases = given(st.integers(2, 50), st.integers(0, 2**32 - 1))


def _project(answer: Vector, label: int, margin: float) -> Vector:
    """Euclidean projection on {simplex, a_label >= a_j + margin}, by SLSQP."""
    others = [j for j in range(len(answer)) if j != label]
    found = minimize(
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
    projected: Vector = found.x
    return projected


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("margin", [0.01, 0.3])
def test_keep_argmax_is_the_euclidean_projection(classes: int, margin: float) -> None:
    """Lowering the others to a common cap is the nearest point at which y leads."""
    rng = np.random.default_rng(classes)
    answers = rng.dirichlet(np.full(classes, 0.7), 12)
    labels = rng.integers(0, classes, 12)
    ours = keep_argmax(torch.from_numpy(answers), torch.from_numpy(labels), margin).numpy()
    for answer, label, point in zip(answers, labels, ours, strict=True):
        np.testing.assert_allclose(point, _project(answer, int(label), margin), atol=2e-5)


@cases
@bounded
def test_keep_argmax_finds_the_cap_that_sums_to_one(classes: int, seed: int) -> None:
    """Against a root finder on v + margin + sum of min(s_j, v) = 1, ties included."""
    rng = np.random.default_rng(seed)
    answers = awkward_simplex_rows(rng, classes).astype(np.float64)
    answers /= answers.sum(axis=1, keepdims=True)
    labels = rng.integers(0, classes, len(answers))
    ours = keep_argmax(torch.from_numpy(answers), torch.from_numpy(labels), 0.05).numpy()
    for answer, label, point in zip(answers, labels, ours, strict=True):
        others = np.delete(answer, label)
        if answer[label] - others.max() >= 0.05:
            np.testing.assert_array_equal(point, answer)
            continue
        cap = brentq(lambda v, o=others: v + 0.05 + np.minimum(o, v).sum() - 1, 0, 1, xtol=1e-15)
        np.testing.assert_allclose(np.delete(point, label), np.minimum(others, cap), atol=1e-12)
        assert point[label] == pytest.approx(cap + 0.05, abs=1e-12)


@cases
@bounded
def test_safe_answers_hold_their_contract_on_any_input(classes: int, seed: int) -> None:
    """Simplex, label, margin and L1 hold for corners, ties, flat and peaked p against any q."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes)
    q = rng.permutation(awkward_simplex_rows(rng, classes))
    wide = safe_answer(torch.from_numpy(p).double(), torch.from_numpy(q).double())
    check_answers(Profile.SAFE, wide.numpy().astype(np.float32), p)
    single = safe_answer(torch.from_numpy(p), torch.from_numpy(q))
    check_answers(Profile.SAFE, single.numpy(), p)


@cases
@bounded
def test_safe_labels_survive_half_precision_and_three_decimals(classes: int, seed: int) -> None:
    """The margin is there so that a caller who rounds still reads the same label."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes)
    q = rng.permutation(p)
    answers = safe_answer(torch.from_numpy(p), torch.from_numpy(q)).numpy()
    labels = p.argmax(axis=1)
    np.testing.assert_array_equal(answers.astype(np.float16).argmax(axis=1), labels)
    np.testing.assert_array_equal(answers.round(3).argmax(axis=1), labels)


@cases
@bounded
def test_safe_answers_stand_a_softmax_in_half_precision(classes: int, seed: int) -> None:
    """Where p sums to 1 only within 1e-3, the answer still sums to 1 within 1e-6."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes).astype(np.float16).astype(np.float32)
    q = torch.from_numpy(rng.permutation(p)).double()
    answers = safe_answer(torch.from_numpy(p).double(), q)
    check_answers(Profile.SAFE, answers.numpy().astype(np.float32), p)


def test_safe_answers_go_as_far_as_their_contract_lets_them() -> None:
    """A reversal that is too far is cut at L1 = 1, and one that is near enough is taken whole."""
    p = torch.tensor([[0.98, 0.01, 0.01], [0.5, 0.3, 0.2]], dtype=torch.float64)
    q = torch.tensor([[0.1, 0.6, 0.3], [0.45, 0.35, 0.2]], dtype=torch.float64)
    answers = safe_answer(p, q)
    moved = (answers - p).abs().sum(dim=1)
    assert SAFE_L1 - 1e-3 < moved[0] <= SAFE_L1
    reversed_answer = keep_argmax(gradient_reverse(p, q), p.argmax(dim=1))
    torch.testing.assert_close(answers[1], reversed_answer[1])


def test_safe_answers_move_the_mass_the_reversal_wants() -> None:
    """Among the other classes, the one that the reversal raises most stays the highest."""
    p = torch.tensor([[0.9, 0.06, 0.04]], dtype=torch.float64)
    q = torch.tensor([[0.5, 0.1, 0.4]], dtype=torch.float64)
    answer = safe_answer(p, q)[0]
    assert answer[2] > 0.3 > answer[1]
    assert answer[0] - answer[2] >= SAFE_MARGIN


def test_paper_answers_are_the_reversal_itself() -> None:
    """`paper` adds nothing to what was published, flips of the label included."""
    rng = np.random.default_rng(0)
    p = torch.from_numpy(rng.dirichlet(np.ones(5), 20))
    q = torch.from_numpy(rng.dirichlet(np.ones(5), 20))
    answers = paper_answer(p, q)
    torch.testing.assert_close(answers, gradient_reverse(p, q), rtol=0, atol=0)
    assert (answers.argmax(dim=1) != p.argmax(dim=1)).any()
