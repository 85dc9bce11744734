from __future__ import annotations

import numpy as np
import pytest

from queen.errors import ConfigError
from queen.method.honest.traffic import (
    CHANGED,
    REPEATED_ITEMS,
    ClassRows,
    HonestSamples,
    Kind,
)

LABELS = np.repeat(np.arange(10), 40)
IMAGES = np.random.default_rng(0).uniform(size=(400, 1, 6, 6)).astype(np.float32)


def _shares(kind: Kind, queries: int = 20_000) -> list[float]:
    """Shares of the classes in the traffic of an account, the largest first."""
    rows = ClassRows(LABELS).draw(kind, queries, np.random.default_rng(1))
    return sorted((np.bincount(LABELS[rows], minlength=10) / queries).tolist(), reverse=True)


@pytest.mark.parametrize(
    ("kind", "classes"),
    [(Kind.ONE_CLASS, 1), (Kind.TWO_CLASSES, 2), (Kind.FOUR_CLASSES, 4), (Kind.EVEN, 10)],
)
def test_an_account_asks_alike_about_its_classes(kind: Kind, classes: int) -> None:
    """And about no others."""
    shares = _shares(kind)
    assert shares[:classes] == pytest.approx([1 / classes] * classes, abs=0.02)
    assert sum(shares[classes:]) == 0


def test_the_shares_of_zipf_fall_with_the_rank() -> None:
    """The class of rank k has 1 / k^1.5 of the first one's share."""
    shares = _shares(Kind.ZIPF)
    expected = np.arange(1, 11) ** -1.5
    assert shares == pytest.approx((expected / expected.sum()).tolist(), abs=0.02)


def test_accounts_differ_in_their_classes() -> None:
    """Which classes an account asks about is drawn, and follows from the generator."""
    rng = np.random.default_rng(0)
    rows = ClassRows(LABELS)
    asked = {int(LABELS[rows.draw(Kind.ONE_CLASS, 5, rng)][0]) for _ in range(60)}
    assert asked == set(range(10))


def test_a_sample_comes_again_after_all_of_its_class() -> None:
    """Honest traffic is as new as the samples allow."""
    rows = ClassRows(LABELS).draw(Kind.ONE_CLASS, 100, np.random.default_rng(0))
    assert np.bincount(rows[:40]).max() == 1
    assert np.bincount(rows, minlength=400).max() == 3


def test_repeated_items_are_few() -> None:
    """No more than 300 samples, each often."""
    rows = ClassRows(np.arange(1000) % 10).draw(Kind.REPEATED, 9000, np.random.default_rng(0))
    assert len(np.unique(rows)) == REPEATED_ITEMS


def test_kinds_of_few_classes_need_more_classes() -> None:
    """With two classes, traffic of two classes is even traffic, and of four cannot be."""
    kinds = ClassRows(np.array([0, 1, 1])).kinds()
    assert Kind.ONE_CLASS in kinds
    assert not {Kind.TWO_CLASSES, Kind.FOUR_CLASSES} & set(kinds)
    assert set(ClassRows(LABELS).kinds()) == set(Kind)


def test_no_samples_are_an_error() -> None:
    """There is nothing to draw from."""
    with pytest.raises(ConfigError, match="at least 1 sample"):
        ClassRows(np.empty(0, np.int64))


def test_names_of_things_do_not_drift() -> None:
    """Tokens are integers without neighbors: repeated, they are the same."""
    tokens = np.random.default_rng(0).integers(0, 5000, (400, 12))
    honest = HonestSamples(tokens, LABELS)
    assert Kind.DRIFT not in honest.kinds()
    inputs, rows = honest.send(Kind.REPEATED, 50, np.random.default_rng(0))
    assert np.array_equal(inputs, tokens[rows])


@pytest.mark.parametrize("kind", Kind)
def test_inputs_are_views_of_the_samples(kind: Kind) -> None:
    """Samples as they are, unless the kind changes them; then of the same type and range."""
    inputs, rows = HonestSamples(IMAGES, LABELS).send(kind, 300, np.random.default_rng(0))
    assert inputs.shape == (300, *IMAGES.shape[1:])
    assert inputs.dtype == IMAGES.dtype
    assert np.array_equal(inputs, IMAGES[rows]) == (kind not in CHANGED)
    assert IMAGES.min() <= inputs.min()
    assert inputs.max() <= IMAGES.max()


@pytest.mark.parametrize("kind", Kind)
def test_the_views_of_a_walk_are_what_accounts_send(kind: Kind) -> None:
    """Orders are rows of the views, and a drift goes through its stages in order."""
    rng = np.random.default_rng(0)
    views = HonestSamples(IMAGES, LABELS).views(kind, rng)
    count = len(views.rows) // len(IMAGES)
    orders = views.orders(3, 500, rng)
    assert len(views.inputs) == len(views.rows) == count * len(IMAGES)
    assert orders.shape == (3, 500)
    assert len({order.tobytes() for order in orders}) == 3
    stages = orders % count
    assert stages.max() == count - 1
    assert (np.diff(stages, axis=1) >= 0).all() == (kind not in {Kind.REPEATED})
    moved = np.abs(views.inputs - IMAGES[views.rows]).mean()
    assert (moved > 0) == (kind in CHANGED)


def test_views_are_of_a_part_of_many_samples() -> None:
    """The protectee has to see every view: there are 48,000 of repeated items at most."""
    samples = np.zeros((5000, 2), np.float32)
    samples[:, 0] = np.arange(5000)
    views = HonestSamples(samples, np.arange(5000) % 3).views(
        Kind.REPEATED, np.random.default_rng(0)
    )
    assert len(views.inputs) == 48_000
    assert len(np.unique(views.rows)) == 2000
