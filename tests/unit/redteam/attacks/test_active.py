"""Active: doubted images, until the crossing."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.active import ask_actively, most_doubted, round_sizes, with_plain
from queen.redteam.attacks.parts.readout import entropy, posterior
from queen.redteam.attacks.parts.watch import Probing
from queen.redteam.networks import predict
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.breadth import BreadthTarget
from tests.unit.redteam.attacks.distorted import (
    MANY,
    SHIFT,
    SPLIT,
    DistortedTarget,
    after,
    protectee_network,
    thief_with,
    train_quickly,
)


def test_the_images_are_those_that_copies_doubt() -> None:
    """After the first 200, images are asked about of which a copy is much less sure."""
    target = MeteredTarget(DistortedTarget(), 1_200)
    images, answers = ask_actively(target, thief_with(1_200), Probing(1, 5))
    assert len(images) == 200 + 1_000 // 6
    copy = train_quickly(images[:200], answers[:200])
    chosen, pool = (entropy(posterior(copy, x)).mean() for x in (images[200:], SPLIT.pool_x))
    assert chosen > 1.5 * pool


def test_an_active_thief_learns_clean_answers_alone() -> None:
    """The crossing ends the queries, and no answer after it is kept."""
    target = DistortedTarget(after(501, lambda answers: answers[:, SHIFT]))
    meter = MeteredTarget(target, MANY * 2)
    images, answers = ask_actively(meter, thief_with(MANY * 2), Probing(1, 5))
    assert 500 < meter.spent < 580
    assert 245 <= len(images) <= 252
    assert np.array_equal(answers.argmax(axis=1), predict(protectee_network(), images))


def test_several_accounts_share_what_they_know() -> None:
    """No image is sent by two accounts, and an account that is over leaves the others."""
    target = BreadthTarget(most=12)
    meter = MeteredTarget(target, MANY)
    images, answers = ask_actively(meter, thief_with(MANY, accounts=2), Probing(1, 1))
    assert any(account.is_over for account in target.accounts.values())
    assert len(np.unique(images, axis=0)) == len(images)
    assert np.array_equal(answers.argmax(axis=1), predict(protectee_network(), images))


def test_rounds_grow_to_the_whole_budget() -> None:
    """A small budget has fewer rounds."""
    sizes = round_sizes(3_300)
    assert sum(sizes) == 3_300
    assert len(sizes) == 10
    assert sizes == sorted(sizes)
    assert sum(round_sizes(3)) == 3


def test_no_class_is_asked_about_much_more_than_the_others() -> None:
    """The most doubted image comes first, unless its class has had its share."""
    belief = np.array([[0.6, 0.4], [0.7, 0.3], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]], np.float32)
    assert most_doubted(belief, np.array([0, 0]), 2).tolist() == [0, 1]
    assert most_doubted(belief, np.array([10, 0]), 2).tolist() == [3, 4]


def test_plain_images_follow_a_doubted_one() -> None:
    """Groups share no image, and stop where plain images end."""
    groups = with_plain(np.array([4, 0]), 6, 3)
    assert groups.tolist() == [[4, 1, 2], [0, 3, 5]]
    assert with_plain(np.array([4, 0]), 5, 3).tolist() == [[4, 1, 2]]
    assert with_plain(np.array([4, 0]), 5, 1).tolist() == [[4], [0]]
