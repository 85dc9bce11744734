from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from queen.method.contracts import Profile, check_answers
from queen.method.gradient_reverse import gradient_reverse, reverse_target
from queen.method.profiles import TAIL, paper_answer
from tests.unit.method.regions import awkward_simplex_rows, bounded

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
