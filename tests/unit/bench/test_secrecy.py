"""Answers between reversal and secrecy."""

from __future__ import annotations

import numpy as np
import pytest

from queen.bench.secrecy import (
    ANSWERS,
    Flagged,
    SecrecyOptions,
    hide_rank,
    keep_largest,
    run_secrecy_bench,
    wrong_class,
)
from queen.errors import ConfigError
from queen.redteam.leak import decoders
from queen.redteam.leak.decoders import DECODERS
from queen.redteam.runs.experiment import Experiment

ROWS, CLASSES = 400, 5


@pytest.fixture
def flagged() -> Flagged:
    """Rows of a sure protectee and unsure shadows, whose reversal is least at the true class."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(CLASSES, 0.1), ROWS)
    q = rng.dirichlet(np.full(CLASSES, 5.0), ROWS)
    decoy = rng.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
    return Flagged(p, q, decoy)


@pytest.fixture
def rng() -> np.random.Generator:
    """Noise of one secret."""
    return np.random.default_rng(1)


def rank_of(answers: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The rank of a class (N,) in each answer (N, C): 0 for the largest number."""
    order = np.argsort(-answers, axis=1, kind="stable")
    return np.argmax(order == classes[:, None], axis=1)


def test_the_published_answer_reaches_the_largest_cosine(flagged: Flagged) -> None:
    """Up to its tail; the answer to a random target does not."""
    assert flagged.reversal(flagged.published) == pytest.approx(1.0, abs=1e-3)
    assert flagged.reversal(flagged.decoy) < 0.9


@pytest.mark.parametrize("kept", [0, 2, CLASSES])
def test_the_largest_classes_stay(flagged: Flagged, rng: np.random.Generator, kept: int) -> None:
    """With their numbers; noise deals out the other numbers, and of all classes none is left."""
    answers, published = keep_largest(kept, flagged, rng), flagged.published
    stay = np.argsort(-published, axis=1)[:, :kept]
    np.testing.assert_array_equal(
        np.take_along_axis(answers, stay, 1), np.take_along_axis(published, stay, 1)
    )
    np.testing.assert_array_equal(np.sort(answers, axis=1), np.sort(published, axis=1))
    assert (answers != published).any() == (kept < CLASSES)


def test_the_true_class_gets_every_rank_as_often(
    flagged: Flagged, rng: np.random.Generator
) -> None:
    """And the other classes keep their order."""
    answers = hide_rank(flagged, rng)
    counts = np.bincount(rank_of(answers, flagged.labels), minlength=CLASSES)
    assert counts.min() > ROWS / CLASSES / 2
    others = np.where(np.eye(CLASSES, dtype=bool)[flagged.labels], -1.0, answers)
    before = np.where(np.eye(CLASSES, dtype=bool)[flagged.labels], -1.0, flagged.published)
    np.testing.assert_array_equal(
        np.argsort(-others, axis=1, kind="stable"), np.argsort(-before, axis=1, kind="stable")
    )
    np.testing.assert_array_equal(np.sort(answers, axis=1), np.sort(flagged.published, axis=1))


def test_a_wrong_class_is_never_the_label(flagged: Flagged, rng: np.random.Generator) -> None:
    """Each other class is as likely, and the rows are on the simplex."""
    answers = wrong_class(flagged, rng)
    shift = (answers.argmax(axis=1) - flagged.labels) % CLASSES
    assert np.bincount(shift, minlength=CLASSES)[0] == 0
    assert np.bincount(shift, minlength=CLASSES)[1:].min() > ROWS / CLASSES / 2
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)


@pytest.fixture
def quick_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders of seconds."""
    monkeypatch.delitem(DECODERS, "trees")
    monkeypatch.setattr(decoders, "_EPOCHS", 12)


@pytest.mark.usefixtures("quick_decoders")
def test_reversal_and_secrecy_are_measured_on_real_answers(small_experiment: Experiment) -> None:
    """On digits: the published answer tells more than a random wrong class, a decoy nothing."""
    options = SecrecyOptions(
        "digits", 0, queries=800, budget=5, secrets=1, cache=small_experiment.cache.root
    )
    titles: list[str] = []
    points = {row["answer"]: row for row in run_secrecy_bench(options, titles.append)}
    assert list(points) == list(ANSWERS)
    assert len(titles) == len(ANSWERS)
    assert points["published"]["reversal"] == pytest.approx(1.0, abs=0.01)
    assert points["published"]["read"] > points["uniform-wrong-class"]["read"] + 0.3
    assert points["uniform-wrong-class"]["reversal"] < points["largest-3"]["reversal"] < 1.0
    assert points["decoy"]["leak"] == 0.0
    # Many answers that never name the label teach a copy more than decoys do.
    assert points["uniform-wrong-class"]["learned"] > points["decoy"]["learned"] + 0.1


def test_without_flagged_queries_there_is_nothing_to_measure(small_experiment: Experiment) -> None:
    """The error says what to change."""
    options = SecrecyOptions(
        "digits", 0, queries=10, budget=20, secrets=1, cache=small_experiment.cache.root
    )
    with pytest.raises(ConfigError, match="send more with --queries"):
        run_secrecy_bench(options)
