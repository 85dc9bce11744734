"""A watched account stops at its crossing."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.attacks.parts.watch import Probing, Watch, clean_answers, open_watches
from queen.redteam.targets.base import Answers, MeteredTarget
from tests.unit.redteam.attacks.distorted import (
    SHIFT,
    SPLIT,
    DistortedTarget,
    after,
    protectee_network,
    thief_with,
)


def refused(answers: Answers) -> Answers:
    """No answer at all."""
    return np.full_like(answers, np.nan)


def test_a_probe_after_every_image_shows_the_crossing_exactly() -> None:
    """Ten first answers and twenty groups of six are clean, and so is the image after them."""
    target = DistortedTarget(after(10 + 20 * 6 + 1, lambda answers: answers[:, SHIFT]))
    watch = Watch(MeteredTarget(target, 1_000), "thief-0", SPLIT.pool_x[:10])
    kept = watch.ask(SPLIT.pool_x[10:100], Probing(every=1, repeats=5))
    assert watch.is_over
    assert kept == 21
    assert np.array_equal(watch.images, SPLIT.pool_x[:31])
    own = posterior(protectee_network(), watch.images)
    np.testing.assert_allclose(watch.answers, own, atol=1e-5)


@pytest.mark.parametrize("every", [1, 16])
def test_a_refusal_is_a_crossing(every: int) -> None:
    """No refused query is kept, and nothing is asked after it."""
    target = DistortedTarget(after(40, refused))
    watch = Watch(MeteredTarget(target, 1_000), "thief-0", SPLIT.pool_x[:10])
    watch.ask(SPLIT.pool_x[10:200], Probing(every, 1))
    asked = len(target.asked())
    assert watch.is_over
    assert np.isfinite(watch.answers).all()
    assert watch.ask(SPLIT.pool_x[200:210], Probing(every, 1)) == 0
    assert len(target.asked()) == asked < 120


def test_a_steady_account_is_never_over() -> None:
    """All answers are kept, and the known query is the surest of the first ones."""
    target = DistortedTarget()
    (watch,) = open_watches(MeteredTarget(target, 1_000), thief_with(1_000), 10)
    assert watch.ask(SPLIT.pool_x[10:100], Probing(4, 2)) == 90
    assert not watch.is_over
    sent, counts = np.unique(target.asked(), axis=0, return_counts=True)
    surest = posterior(protectee_network(), SPLIT.pool_x[:10]).max(axis=1).argmax()
    assert np.array_equal(sent[counts.argmax()], SPLIT.pool_x[surest])
    assert np.array_equal(clean_answers([watch])[0], SPLIT.pool_x[:100])


def test_affordable_images_leave_room_for_the_known_query() -> None:
    """Groups of an image and two known queries cost three; a last group may be begun."""
    assert Probing(1, 2).affordable(9) == 3
    assert Probing(4, 1).affordable(9) == 7
    assert Probing(4, 1).affordable(0) == 0
