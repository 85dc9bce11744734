"""GRAD2 against its equation, written the slow way."""

from __future__ import annotations

import numpy as np
import torch

from queen.redteam.defenses.grad2 import all_ones, own_gradient_reversed, redirect
from queen.redteam.defenses.parts.surrogates import random_network
from tests.unit.redteam.defenses.slow_equations import (
    draw_answers,
    draw_inputs,
    log_likelihood_gradients,
)


def test_slopes_are_the_whole_jacobian_times_the_direction():
    """c = G 1 and c = -G G'y, G over every parameter of the surrogate."""
    network, inputs, y = random_network("digits", 2).double(), draw_inputs(5), draw_answers(5)
    wide, truth = torch.from_numpy(inputs).double(), torch.from_numpy(y).double()
    ones, own = all_ones(network, wide, truth), own_gradient_reversed(network, wide, truth)
    for row, label, up, back in zip(inputs, truth.numpy(), ones, own, strict=True):
        gradients = log_likelihood_gradients(network, row, list(network.parameters()))
        np.testing.assert_allclose(up.detach(), gradients.sum(axis=1), atol=1e-9)
        np.testing.assert_allclose(back.detach(), -gradients @ gradients.T @ label, atol=1e-9)


def test_redirection_moves_half_the_budget_to_the_best_class():
    """From the worst class up, until half of the L1 distance has left them."""
    y = np.array([[0.5, 0.3, 0.2]], np.float32)
    answers = redirect(y, np.array([[-1.0, 2.0, 0.0]]), l1=0.8)
    np.testing.assert_allclose(answers, [[0.1, 0.7, 0.2]], atol=1e-4)
