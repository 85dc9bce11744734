"""Samples that cover others, and samples that repeat others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from queen.method.enforcement import repeat_radius
from queen.method.walk.sent_samples import SentSamples
from tests.unit.method.regions import discs

GEOMETRY = discs()
LABELS = np.arange(120) % GEOMETRY.num_classes
_OFFSETS = np.random.default_rng(0).uniform(-1, 1, (len(LABELS), 2))
EMBEDDINGS = (GEOMETRY.cluster_centers[LABELS] + _OFFSETS).astype(np.float32)
SAMPLES = SentSamples(GEOMETRY, EMBEDDINGS, LABELS)


def _near(radii: NDArray[np.float64], row: int) -> list[int]:
    """The samples of the class of a row within its radius, compared in turn."""
    if not SAMPLES.sensitive[row]:
        return []
    distances = cdist(EMBEDDINGS[[row]], EMBEDDINGS)[0]
    within = distances <= radii[LABELS[row]]
    return np.flatnonzero(within & (LABELS[row] == LABELS)).tolist()


def test_a_record_covers_the_samples_of_its_class_within_r() -> None:
    """Itself among them; a sample outside of its region is never a record, and covers none."""
    radii = GEOMETRY.coverage_radius
    covered = [sorted(SAMPLES.covered.of(row).tolist()) for row in range(len(LABELS))]
    assert covered == [_near(radii, row) for row in range(len(LABELS))]
    assert not SAMPLES.sensitive.all()
    assert max(map(len, covered)) > 1


def test_samples_repeat_a_record_within_a_share_of_r() -> None:
    """By `repeat_radius`."""
    radii = repeat_radius(GEOMETRY)
    repeating = [sorted(SAMPLES.repeating.of(row).tolist()) for row in range(len(LABELS))]
    assert repeating == [_near(radii, row) for row in range(len(LABELS))]


def test_the_marks_of_several_accounts_are_made_at_once() -> None:
    """Of the near samples of a row each, in the row of the account."""
    rows = np.flatnonzero(SAMPLES.sensitive)[:2]
    marks = np.zeros((3, len(LABELS)), np.bool_)
    SAMPLES.covered.mark(marks, np.array([0, 2]), rows)
    expected = [sorted(SAMPLES.covered.of(int(row)).tolist()) for row in rows]
    assert [np.flatnonzero(marks[account]).tolist() for account in (0, 2)] == expected
    assert not marks[1].any()
