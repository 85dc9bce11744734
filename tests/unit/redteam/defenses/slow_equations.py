"""Answers and inputs for the equations of the baselines, and gradients the slow way."""

from __future__ import annotations

import numpy as np
import torch


def draw_answers(count: int, alpha: float = 0.3, seed: int = 0) -> np.ndarray:
    """Answers (count, 10) of a Dirichlet, the same for a seed."""
    return np.random.default_rng(seed).dirichlet(np.full(10, alpha), count).astype(np.float32)


def draw_inputs(count: int) -> np.ndarray:
    """Inputs (count, 64) in [0, 1]."""
    return np.random.default_rng(7).random((count, 64)).astype(np.float32)


def log_likelihood_gradients(network: torch.nn.Module, row: np.ndarray, weights) -> np.ndarray:
    """G (C, P): a backward pass for each class."""
    log_q = network(torch.from_numpy(row[None]).double()).log_softmax(dim=1)[0]
    rows = [torch.autograd.grad(value, weights, retain_graph=True) for value in log_q]
    return np.stack([np.concatenate([part.flatten().numpy() for part in row]) for row in rows])
