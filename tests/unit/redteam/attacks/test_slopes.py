"""Slopes: neighbors of an image tell how its answer changes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from queen.redteam.attacks.base import one_hot
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.attacks.slopes import NEIGHBORS, STEPS, Asked, train_with_slopes
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import (
    SPLIT,
    Distort,
    DistortedTarget,
    protectee_network,
    score,
    steal,
    thief_with,
    train_quickly,
)

IMAGES = 30
QUERIES = 80 * (1 + NEIGHBORS)


def labels(answers: Answers, _had: int) -> Answers:
    """The labels alone."""
    return one_hot(answers)


@cache
def requests(distort: Distort | None = None) -> list[Images]:
    """The requests of a thief who can pay for all neighbors of some images."""
    target = DistortedTarget() if distort is None else DistortedTarget(distort)
    steal("slopes", target, thief_with(QUERIES))
    return target.accounts["thief-0"].asked


def distances(request: Images) -> np.ndarray:
    """The distances from the first image of a request to the others."""
    return np.linalg.norm(request[1:] - request[0], axis=1)


def test_the_step_is_the_least_that_shows() -> None:
    """The least step tells the slopes of exact answers."""
    np.testing.assert_allclose(distances(requests()[-1]), STEPS[0], rtol=1e-3)


def test_images_are_asked_about_alone_where_no_step_tells_slopes() -> None:
    """The labels of neighbors tell nothing, so the queries buy images."""
    assert {len(request) for request in requests(labels)[-10:]} == {1}


def test_each_image_goes_with_a_step_along_every_input() -> None:
    """The last requests are an image of the pool and 64 neighbors, all within the inputs' range."""
    request = requests()[-1]
    ways = request[1:] - request[0]
    assert len(request) == 1 + NEIGHBORS
    assert (np.count_nonzero(ways, axis=1) == 1).all()
    assert (np.count_nonzero(ways, axis=0) == 1).all()
    every = np.concatenate(requests())
    assert every.min() >= 0
    assert every.max() <= 1
    assert (SPLIT.pool_x == request[0]).all(axis=1).any()


def neighborhoods(count: int, step: float = STEPS[0]) -> Asked:
    """Images with a neighbor along every input, answered exactly."""
    images = SPLIT.pool_x[:count]
    ways = np.tile(step * np.eye(64, dtype=np.float32), (count, 1, 1))
    queries = np.concatenate([images[:, None], images[:, None] + ways], axis=1)
    answers = posterior(protectee_network(), queries.reshape(-1, 64)).reshape(count, 65, 10)
    return Asked(images, ways, answers)


def test_slopes_make_a_better_copy_of_the_same_images() -> None:
    """Thirty images with their slopes beat thirty images."""
    asked = neighborhoods(IMAGES)
    plain = train_quickly(asked.images, asked.answers[:, 0])
    assert score(train_with_slopes("digits", asked, seed=0)) > score(plain) + 0.05


def test_refused_neighbors_and_images_are_left_out() -> None:
    """A copy is finite where an image, its neighbors or both were refused."""
    asked = neighborhoods(IMAGES)
    answers = asked.answers.copy()
    answers[0], answers[1, 0], answers[2, 1:], answers[3, 5] = [np.nan] * 4
    copy = train_with_slopes("digits", Asked(asked.images, asked.ways, answers), seed=0)
    assert np.isfinite(posterior(copy, SPLIT.test_x)).all()
    assert score(copy) > 0.5


def test_the_fineness_is_the_step_of_a_grid() -> None:
    """The number of the label, the rest of the others, does not count."""
    asked = neighborhoods(5, step=0.2)
    others = np.round(asked.answers, 2)
    others[..., -1] += np.float32(0.001)
    assert Asked(asked.images, asked.ways, others).fineness == pytest.approx(0.01, abs=1e-6)
    assert asked.fineness < 1e-4
