from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from queen.errors import ContractViolated
from queen.method.answers.gradient_reverse import (
    TAIL,
    closest_simplex_point,
    gradient_reverse,
    paper_answer,
    reverse_target,
)
from queen.method.contracts import Profile, check_answers, check_simplex
from tests.unit.method.regions import awkward_simplex_rows, bounded

Vector = NDArray[np.float64]


def _cosine(vector: Vector, other: Vector) -> float:
    return float(vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other)))


def _solve(target: Vector) -> Vector:
    """The simplex point of largest cosine, by SLSQP from the simplex's middle."""
    classes = len(target)
    solution = minimize(
        lambda s: -_cosine(s, target),
        np.full(classes, 1 / classes),
        method="SLSQP",
        bounds=[(0, 1)] * classes,
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1},
        options={"maxiter": 300, "ftol": 1e-12},
    )
    clipped: Vector = np.maximum(solution.x, 0)
    return clipped / clipped.sum()


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("shift", [-2.0, -0.5, 0.0, 0.7])
def test_no_solver_finds_a_larger_cosine(classes: int, shift: float) -> None:
    """Against SLSQP on mixed, mostly negative, all negative and all positive targets."""
    rng = np.random.default_rng(classes)
    targets = rng.uniform(-1, 1, (8, classes)) + shift
    ours = closest_simplex_point(torch.from_numpy(targets)).numpy()
    for target, point in zip(targets, ours, strict=True):
        assert _cosine(point, target) >= _cosine(_solve(target), target) - 1e-9


def test_the_solver_gets_close_to_the_closed_form() -> None:
    """The comparison above would not be empty: where t has a positive entry, both agree."""
    target = np.array([0.6, -0.3, 0.2, 0.5])
    ours = closest_simplex_point(torch.from_numpy(target[None])).numpy()[0]
    np.testing.assert_allclose(ours, _solve(target), atol=1e-4)
    np.testing.assert_allclose(ours, np.array([0.6, 0, 0.2, 0.5]) / 1.3)


@pytest.mark.parametrize("target", [[-3.0, -0.5, -1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, -2.0]])
def test_without_a_positive_entry_the_answer_is_a_corner(target: list[float]) -> None:
    """relu(t) is the origin there, and the best point is one-hot at the largest entry."""
    point = closest_simplex_point(torch.tensor([target]))[0]
    assert point.tolist() == np.eye(3)[int(np.argmax(target))].tolist()


@pytest.mark.parametrize("tiny", [1e-30, 1e-40, 5e-324])
def test_entries_of_any_size_end_on_the_simplex(tiny: float) -> None:
    """Only ratios count: a target of denormal numbers is no smaller than another."""
    point = closest_simplex_point(torch.tensor([[tiny, tiny, -1.0]], dtype=torch.float64))
    assert point.tolist() == [[0.5, 0.5, 0.0]]


def test_a_nan_is_not_turned_into_an_answer() -> None:
    """A broken shadow must fail the contract check, not look like a confident corner."""
    answer = gradient_reverse(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.5, float("nan")]]))
    with pytest.raises(ContractViolated):
        check_simplex(answer.numpy())


@given(st.integers(2, 50), st.integers(0, 2**32 - 1))
@bounded
def test_the_reversal_is_on_the_simplex(classes: int, seed: int) -> None:
    """For corners, ties, flat and peaked p against the same kinds of q, in float32 too."""
    rng = np.random.default_rng(seed)
    rows = awkward_simplex_rows(rng, classes)
    p, q = torch.from_numpy(rows), torch.from_numpy(rng.permutation(rows))
    check_simplex(gradient_reverse(p, q).numpy())
    check_simplex(gradient_reverse(p.double(), q.double()).numpy().astype(np.float32))


def test_a_thief_at_q_is_moved_the_other_way() -> None:
    """q - t = -(q - p): the gradient of cross entropy on t is minus the one on p."""
    p, q = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.4, 0.35, 0.25]])
    torch.testing.assert_close(q - reverse_target(p, q), -(q - p))


def test_a_reversed_target_inside_the_simplex_is_the_answer() -> None:
    """Nothing needs projecting where 2q - p is already a distribution."""
    p, q = torch.tensor([[0.4, 0.3, 0.3]]), torch.tensor([[0.35, 0.35, 0.3]])
    torch.testing.assert_close(gradient_reverse(p, q), torch.tensor([[0.3, 0.4, 0.3]]))


cases = given(st.integers(2, 50), st.integers(0, 2**32 - 1))


@cases
@bounded
def test_no_paper_answer_holds_an_exact_zero(classes: int, seed: int) -> None:
    """A softmax never is 0, so a 0 would name the verdict: not even where shadows are sure."""
    rng = np.random.default_rng(seed)
    p = awkward_simplex_rows(rng, classes)
    q = rng.permutation(awkward_simplex_rows(rng, classes))
    wide = paper_answer(torch.from_numpy(p).double(), torch.from_numpy(q).double())
    answers = wide.numpy().astype(np.float32)
    assert (answers > 0).all()
    check_answers(Profile.PAPER, answers, p)


@cases
@bounded
def test_the_tail_costs_next_to_nothing_of_the_cosine(classes: int, seed: int) -> None:
    """The answer points where the published one does, to a thousandth of the cosine."""
    rng = np.random.default_rng(seed)
    p, q = (torch.from_numpy(rng.dirichlet(np.ones(classes), 30)) for _ in range(2))
    target = reverse_target(p, q)
    cosine = torch.nn.CosineSimilarity(dim=1)
    published = cosine(gradient_reverse(p, q), target)
    loss = published - cosine(paper_answer(p, q), target)
    # A unit of tail moves a point of the simplex, at least 1 / sqrt(C) long, by at most 2 units.
    assert loss.max() <= 2 * TAIL * classes**0.5
    assert loss.median() <= TAIL


def test_paper_answers_are_the_reversal_up_to_the_tail() -> None:
    """`paper` adds nothing else to what was published, flips of the label included."""
    rng = np.random.default_rng(0)
    p, q = (torch.from_numpy(rng.dirichlet(np.ones(5), 20)) for _ in range(2))
    answers, published = paper_answer(p, q), gradient_reverse(p, q)
    assert (answers - published).abs().sum(dim=1).max() <= 2 * TAIL
    assert (answers.argmax(dim=1) != p.argmax(dim=1)).any()
    torch.testing.assert_close(answers.argmax(dim=1), published.argmax(dim=1))
