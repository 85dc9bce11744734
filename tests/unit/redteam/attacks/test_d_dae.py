"""D-DAE: the inverse of a defense, learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from queen.redteam.attacks import d_dae
from queen.redteam.attacks.base import Simulation
from queen.redteam.datasets import Split
from queen.redteam.networks import predict
from tests.unit.redteam.attacks.known_recipe import Lessons, distorted, l1, softmax, steal, thief_of


def test_the_restorer_undoes_a_known_distortion(protectee: nn.Module, split: Split):
    """On answers it never saw, the restored ones are far nearer to the clean than the defended."""
    known, unseen = softmax(protectee, split.pool_x[:400]), softmax(protectee, split.pool_x[400:])
    restorer = d_dae.train_restorer(known, distorted(known), seed=0)
    restored = d_dae.restore(restorer, distorted(unseen))
    assert l1(restored, unseen) < 0.3 * l1(distorted(unseen), unseen)
    np.testing.assert_allclose(restored.sum(axis=1), 1, atol=1e-5)


def test_a_restorer_follows_from_its_seed(protectee: nn.Module, split: Split):
    """Two of one seed are the same, and the global generator stays where it was."""
    clean = softmax(protectee, split.pool_x[:50])
    before = torch.get_rng_state()
    first, second = (
        d_dae.restore(d_dae.train_restorer(clean, clean, seed=3, epochs=2), clean) for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_drawn_pairs_are_near_the_clean_answers(protectee: nn.Module, split: Split):
    """A draw is on the simplex, near its clean answer, and paired with the nearest one's."""
    clean = softmax(protectee, split.pool_x[:60])
    known = Simulation(clean, distorted(clean), np.ones(60, bool))
    drawn, defended = d_dae.dirichlet_pairs(known, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.sum(axis=1), 1, atol=1e-5)
    assert l1(drawn, clean) < 0.4
    nearest = np.abs(drawn[:, None] - clean[None]).sum(axis=2).argmin(axis=1)
    assert np.array_equal(defended, distorted(clean)[nearest])


@pytest.mark.parametrize("name", ["d-dae", "d-dae-plus"])
def test_d_dae_learns_restored_answers(protectee: nn.Module, split: Split, name: str):
    """The last lesson has the protectee's labels, which none of the returned answers had."""
    lessons = Lessons()
    steal(name, protectee, thief_of(split, 400, lessons))
    queries, targets = lessons.given[-1]
    wanted = predict(protectee, queries)
    assert (distorted(softmax(protectee, queries)).argmax(axis=1) != wanted).all()
    assert (targets.argmax(axis=1) == wanted).mean() > 0.5
