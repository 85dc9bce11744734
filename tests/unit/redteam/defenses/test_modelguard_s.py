"""ModelGuard-S against its codebook."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.modelguard_s import fit_codebooks, quantize
from tests.unit.redteam.defenses.slow_equations import draw_answers


def test_every_training_answer_has_a_codeword_within_the_budget():
    """Codewords are added until it holds, and there are far fewer than answers."""
    y = draw_answers(400)
    codebooks = fit_codebooks(y)
    assert sum(len(codewords) for codewords in codebooks) < 100
    for row, label in zip(y, y.argmax(axis=1), strict=True):
        assert np.abs(codebooks[label] - row).sum(axis=1).min() <= 1.0


def test_codewords_keep_their_label():
    """A mean of answers with a label has the label, and one without answers stands for itself."""
    y = draw_answers(300)
    y = y[y.argmax(axis=1) != 4]
    for label, codewords in enumerate(fit_codebooks(y)):
        assert (codewords.argmax(axis=1) == label).all()
        assert len(codewords) >= 1
    assert fit_codebooks(y)[4].tolist() == [np.eye(10)[4].tolist()]


def test_an_answer_is_the_first_codeword_near_enough():
    """Not the nearest: a codeword further back in the codebook changes nothing."""
    codebooks = (np.array([[0.7, 0.3], [0.9, 0.1]]), np.array([[0.5, 0.5]]))
    y = np.array([[0.91, 0.09], [0.55, 0.45]], np.float32)
    np.testing.assert_allclose(quantize(y, codebooks), [[0.7, 0.3]] * 2, atol=1e-4)


def test_what_no_codeword_covers_is_drawn_as_far_as_the_budget():
    """The budget and the label hold for answers unlike those of the training set."""
    codebooks = (np.array([[1.0, 0.0, 0.0]]),) * 3
    y = np.array([[0.34, 0.33, 0.33]], np.float32)
    np.testing.assert_allclose(quantize(y, codebooks), [[0.84, 0.08, 0.08]], atol=1e-4)
