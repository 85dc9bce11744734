"""The promises of every baseline, from one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from queen.method.contracts import check_label_kept, check_simplex
from queen.redteam.datasets import load_digits_split
from queen.redteam.defenses import DEFENSES, Answer, Asked, Training
from queen.redteam.networks import Regime, build_network, train_network


@dataclass(frozen=True)
class Promise:
    """The promise of a baseline about its answers."""

    keeps_label: bool = False
    l1: float = 2.0
    moves_at_least: float = 0.0
    """Mean L1 distance to the protectee's answers: a baseline that does nothing is no baseline."""


PROMISES = {
    "none": Promise(keeps_label=True, l1=0.0),
    "top-1": Promise(keeps_label=True, moves_at_least=0.05),
    "rounding": Promise(moves_at_least=0.01),
    "reverse-sigmoid": Promise(keeps_label=True, moves_at_least=0.2),
    "mad-argmax": Promise(keeps_label=True, l1=1.0, moves_at_least=0.5),
    "adaptive-misinformation": Promise(moves_at_least=0.01),
    "adaptive-misinformation-0.2": Promise(moves_at_least=0.05),
    "modelguard-w": Promise(keeps_label=True, l1=1.0, moves_at_least=0.9),
    "modelguard-s": Promise(keeps_label=True, l1=1.0, moves_at_least=0.05),
    "grad2": Promise(l1=1.0, moves_at_least=0.5),
    "grad2-all-ones": Promise(l1=1.0, moves_at_least=0.5),
}
every_defense = pytest.mark.parametrize("name", DEFENSES)


def _softmax(network: torch.nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(inputs)).softmax(dim=1).numpy()


def _asked(inputs: np.ndarray, probabilities: np.ndarray) -> Asked:
    return Asked(inputs, probabilities, np.zeros((len(inputs), 1), np.float32))


@pytest.fixture(scope="module")
def training() -> Training:
    """Digits, and a protectee that is not sure of all of them."""
    split = load_digits_split(0)
    torch.manual_seed(0)
    protectee = train_network(build_network("digits"), split.train_x, split.train_y, Regime(6, 0))
    probabilities = _softmax(protectee, split.train_x)
    features = np.zeros((len(probabilities), 1), np.float32)
    return Training("digits", split.train_x, split.train_y, probabilities, features)


@pytest.fixture(scope="module")
def answer_of(training: Training) -> Callable[[str], Answer]:
    """Every baseline, prepared once."""
    prepared: dict[str, Answer] = {}

    def prepare(name: str) -> Answer:
        if name not in prepared:
            prepared[name] = DEFENSES[name].prepare(training, 3)
        return prepared[name]

    return prepare


@pytest.fixture(scope="module")
def asked(training: Training) -> Asked:
    """Real answers, then corners, ties, flat rows and near misses."""
    rng = np.random.default_rng(1)
    ties = np.full((2, 10), 0.0)
    ties[0, [2, 7]], ties[1, [0, 4, 9]] = 0.5, 1 / 3
    awkward = np.concatenate(
        [
            np.eye(10)[[0, 9]],
            ties,
            np.full((1, 10), 0.1),
            rng.dirichlet(np.full(10, 0.05), 20),
            rng.dirichlet(np.full(10, 50.0), 20),
        ]
    ).astype(np.float32)
    probabilities = np.concatenate([training.probabilities[:150], awkward])
    return _asked(training.inputs[: len(probabilities)], probabilities)


def test_every_baseline_is_in_the_table():
    """A baseline without a promise would be tested for nothing."""
    assert set(PROMISES) == set(DEFENSES)
    assert all(name == defense.name for name, defense in DEFENSES.items())


@every_defense
def test_answers_are_on_the_simplex(name: str, answer_of, asked: Asked):
    """Float32, non-negative, sums of 1 within 1e-6, one row a query."""
    answers = answer_of(name)(asked)
    assert answers.dtype == np.float32
    assert answers.shape == asked.probabilities.shape
    check_simplex(answers)


@every_defense
def test_answers_hold_their_promise(name: str, answer_of, asked: Asked):
    """The label and the L1 distance hold for every row, and the answers do change."""
    promise, answers = PROMISES[name], answer_of(name)(asked)
    moved = np.abs(answers.astype(np.float64) - asked.probabilities).sum(axis=1)
    assert moved.max() <= promise.l1 + 1e-6
    assert moved.mean() >= promise.moves_at_least
    if promise.keeps_label:
        check_label_kept(answers, asked.probabilities)


@every_defense
def test_a_row_does_not_depend_on_its_neighbours(name: str, answer_of, asked: Asked):
    """Alone, in an odd batch and in the whole one, a query gets the same answer."""
    answer = answer_of(name)
    whole = answer(asked)
    order = np.random.default_rng(0).permutation(len(whole))
    for rows in (order[:1], order[1:2], order[:13], order[20:90], order):
        part = answer(_asked(asked.inputs[rows], asked.probabilities[rows]))
        np.testing.assert_allclose(part, whole[rows], atol=1e-6)


@every_defense
def test_a_seed_names_a_baseline(name: str, training: Training, answer_of, asked: Asked):
    """Prepared twice it gives the same bits; Torch's generator has no part in it."""
    torch.manual_seed(99)
    drawn = torch.random.get_rng_state()
    again = DEFENSES[name].prepare(training, 3)(asked)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    np.testing.assert_array_equal(again, answer_of(name)(asked))


@pytest.mark.parametrize("name", ["mad-argmax", "adaptive-misinformation", "grad2-all-ones"])
def test_another_seed_is_another_surrogate(name: str, training: Training, answer_of, asked: Asked):
    """The thief cannot know the surrogate from the recipe alone."""
    other = DEFENSES[name].prepare(training, 4)(asked)
    assert not np.array_equal(other, answer_of(name)(asked))


@every_defense
def test_no_queries_get_no_answers(name: str, answer_of, asked: Asked):
    """An empty batch is not an error."""
    empty = _asked(asked.inputs[:0], asked.probabilities[:0])
    assert answer_of(name)(empty).shape == (0, 10)


@every_defense
def test_the_protectee_keeps_its_answers(name: str, answer_of, asked: Asked):
    """A baseline answers with an array of its own or an untouched one."""
    before = asked.probabilities.copy()
    answer_of(name)(asked)
    np.testing.assert_array_equal(asked.probabilities, before)


def test_none_is_bit_identical(answer_of, asked: Asked):
    """The floor of every comparison is the protectee itself."""
    np.testing.assert_array_equal(answer_of("none")(asked), asked.probabilities)


def test_images_are_answered_too():
    """Baselines with a surrogate read (1, 28, 28) as well as digits."""
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, 28, 28)).astype(np.float32)
    p = rng.dirichlet(np.full(10, 0.3), 40).astype(np.float32)
    labels, features = p.argmax(axis=1), np.zeros((40, 1), np.float32)
    training = Training("fashion-mnist", images, labels, p, features)
    for name in ("mad-argmax", "grad2", "grad2-all-ones"):
        answers = DEFENSES[name].prepare(training, 0)(_asked(images[:5], p[:5]))
        check_simplex(answers)
