"""Refused queries are told from answers."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.parts.answered import answered, is_answered


def test_a_refused_query_has_no_number() -> None:
    """One NaN is enough, and image and answer go together."""
    answers = np.array([[0.5, 0.5], [np.nan, np.nan], [np.nan, 1.0], [1.0, 0.0]], np.float32)
    images = np.arange(4, dtype=np.float32)[:, None]
    assert is_answered(answers).tolist() == [True, False, False, True]
    kept, rows = answered(images, answers)
    assert kept[:, 0].tolist() == [0, 3]
    assert np.array_equal(rows, answers[[0, 3]])
