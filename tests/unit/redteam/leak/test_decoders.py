"""Decoders read labels out of the numbers of answers."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.leak.decoders import (
    DECODERS,
    Known,
    clues_of,
    divide_rows,
    read_labels,
)

CLASSES = 4


def answers_at(rank: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random answers (N, C), and labels (N,): the class that stands at this rank of its answer."""
    answers = np.random.default_rng(1).dirichlet(np.ones(CLASSES), count).astype(np.float32)
    return answers, np.argsort(-answers, axis=1)[:, rank]


def known(answers: np.ndarray, labels: np.ndarray) -> Known:
    """Two thirds of the rows to train with, and the others to choose by."""
    clues, part = clues_of(answers), 2 * len(answers) // 3
    return Known(clues[:part], labels[:part], clues[part:], labels[part:], CLASSES, 0)


def test_rows_are_in_one_part_each() -> None:
    """Half are the test; no more than 5,000 train and choose, four to one."""
    parts = divide_rows(np.arange(100, 300), np.random.default_rng(0))
    sizes = len(parts.training), len(parts.validation), len(parts.test)
    assert sizes == (80, 20, 100)
    every = np.concatenate([parts.training, parts.validation, parts.test])
    np.testing.assert_array_equal(np.sort(every), np.arange(100, 300))
    many = divide_rows(np.arange(20_000), np.random.default_rng(0))
    assert len(many.training) + len(many.validation) == 5_000


def test_clues_are_the_answer_and_what_follows_from_it() -> None:
    """Numbers, logarithms, ranks, the same in order, gaps; and the belief after them."""
    answer = np.array([[0.2, 0.5, 0.3]], np.float32)
    clues = clues_of(answer)[0]
    np.testing.assert_allclose(clues[:3], [0.2, 0.5, 0.3])
    np.testing.assert_allclose(clues[3:6], np.log([0.2, 0.5, 0.3]), rtol=1e-6)
    np.testing.assert_allclose(clues[6:9], [2, 0, 1])
    np.testing.assert_allclose(clues[9:12], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(clues[15:], [0.2, 0.1], rtol=1e-6)
    believing = clues_of(answer, np.array([[1.0, 0.0, 0.0]], np.float32))
    assert believing.shape == (1, len(clues) + 6)
    assert np.isfinite(believing).all()


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_finds_a_class_by_its_rank(name: str) -> None:
    """Labels that stand second in their answers are read from most of them."""
    learned = known(*answers_at(1, 900))
    assert learned.score(DECODERS[name](learned)) > 0.8


@pytest.mark.parametrize("name", DECODERS)
def test_no_decoder_finds_what_is_not_there(name: str) -> None:
    """Labels that answers say nothing about are read no more often than by chance."""
    answers, _ = answers_at(0, 900)
    learned = known(answers, np.random.default_rng(2).integers(0, CLASSES, len(answers)))
    assert learned.score(DECODERS[name](learned)) < 0.35


def test_the_decoder_that_is_best_on_the_validation_rows_is_tested() -> None:
    """Of labels that are least in their answers, a comparison reads all."""
    answers, labels = answers_at(CLASSES - 1, 900)
    parts = divide_rows(np.arange(len(labels)), np.random.default_rng(0))
    reading = read_labels(clues_of(answers), labels, parts, CLASSES, seed=0)
    assert reading.decoder == "comparison"
    assert reading.is_right.shape == parts.test.shape
    assert reading.is_right.all()
