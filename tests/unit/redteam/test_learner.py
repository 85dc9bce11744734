"""The thief's learner: copies that gain from answers, repeat, and stop in time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from queen.redteam.datasets import Split, load_digits_split
from queen.redteam.learner import (
    EFFORTS,
    Effort,
    Examples,
    Lesson,
    effort_for,
    learn,
    new_copy,
    train_piracy_model,
    validation_split,
)
from queen.redteam.networks import accuracy


@pytest.fixture(scope="module")
def split() -> Split:
    """The digits, divided."""
    return load_digits_split(0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on more threads than on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _copy(split: Split, count: int, seed: int = 0) -> nn.Module:
    answers = np.eye(10, dtype=np.float32)[split.train_y[:count]]
    return train_piracy_model("digits", split.train_x[:count], answers, seed=seed)


def test_a_copy_of_more_answers_is_better(split: Split):
    """Accuracy of the copy rises with the budget on an undefended endpoint."""
    few, many = (_copy(split, count) for count in (30, 800))
    assert accuracy(many, split.test_x, split.test_y) > accuracy(few, split.test_x, split.test_y)


def test_a_copy_of_no_answers_is_untrained(split: Split):
    """A thief whose queries were all refused has a network, and nothing to teach it."""
    assert accuracy(_copy(split, 0), split.test_x, split.test_y) < 0.3


@pytest.mark.parametrize("count", [3, 40])
def test_a_seed_gives_the_same_copy(split: Split, count: int):
    """Training is a function of answers and seed, with or without a validation split."""
    first, again = (_copy(split, count).state_dict() for _ in range(2))
    other = _copy(split, count, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_copy_is_a_sequence_that_ends_in_its_head(split: Split):
    """Attacks read the features before the head."""
    copy = _copy(split, 20)
    assert isinstance(copy, nn.Sequential)
    assert isinstance(copy[-1], nn.Linear)


def _learn(scores: list[float], effort: Effort) -> tuple[float, int]:
    """The weight that is kept, and the number of steps, for scores of the checks in order."""
    network, steps = nn.Linear(1, 1, bias=False), 0
    nn.init.zeros_(network.weight)

    def draw_loss() -> Tensor:
        nonlocal steps
        steps += 1
        return (network.weight - 10).square().sum()

    judged = chain(scores, repeat(-1.0))
    kept = learn(Lesson(network, draw_loss, lambda _mean: next(judged)), effort)
    return next(kept.parameters()).item(), steps


def test_training_goes_on_as_long_as_it_gains():
    """It stops after two checks without a gain, and keeps the mean of the best check."""
    effort = Effort(check=10, patience=2, most=100, rate=0.1)
    best, steps = _learn([1.0, 2.0], effort)
    assert steps == 40
    later, _ = _learn([1.0, 2.0, 3.0], effort)
    first, _ = _learn([1.0], effort)
    assert 0 < first < best < later
    assert _learn([float(score) for score in range(20)], effort)[1] == 100


def test_batches_pass_over_all_answers(split: Split):
    """Fifteen batches of 20 show each of 100 queries three times, changed, with its own answer."""
    queries, answers = split.train_x[:100], np.eye(100, dtype=np.float32)
    generator = torch.Generator().manual_seed(0)
    batches = Examples("digits", queries, answers).batches(20, generator)
    drawn = [next(batches) for _ in range(15)]
    rows = torch.cat([targets.argmax(dim=1) for _, targets in drawn])
    changes = (torch.cat([inputs for inputs, _ in drawn]) - torch.from_numpy(queries)[rows]).abs()
    assert rows.bincount(minlength=100).tolist() == [3] * 100
    assert 0.01 < changes.mean() < 0.2
    assert len(changes.unique(dim=0)) == 300


def test_the_score_is_of_inputs_as_they_are(split: Split):
    """The negative cross entropy, without augmentation; 0 where there is nothing to judge by."""
    network = new_copy("digits", 0)
    answers = np.full((5, 10), 0.1, np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(split.train_x[:5]))
    expected = float(torch.log_softmax(logits, dim=1).mean())
    score = Examples("digits", split.train_x[:5], answers).score(network)
    assert score == pytest.approx(expected, rel=1e-4)
    assert Examples("digits", split.train_x[:0], answers[:0]).score(network) == 0.0


def test_a_tenth_is_the_validation_split():
    """Held and kept rows are all rows, once."""
    held, kept = validation_split(59, 0)
    assert len(held) == 5
    assert sorted([*held, *kept]) == list(range(59))


def test_other_data_sets_get_the_usual_effort():
    """Small data sets have efforts of their own."""
    assert effort_for("any:5:3") == effort_for("fashion-mnist") != EFFORTS["digits"]
