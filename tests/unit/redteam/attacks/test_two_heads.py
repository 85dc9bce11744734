from __future__ import annotations

import numpy as np
import pytest
import torch

from queen.redteam.attacks.two_heads import train_two_heads
from queen.redteam.datasets import load_digits_split
from queen.redteam.networks import accuracy

SPLIT = load_digits_split(0)
FEW = 30


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small are slower on more threads than on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _score(later_labels: np.ndarray) -> float:
    corners = np.eye(10, dtype=np.float32)
    trusted = (SPLIT.train_x[:FEW], corners[SPLIT.train_y[:FEW]])
    later = (SPLIT.train_x[FEW:], corners[later_labels])
    copy = train_two_heads("digits", trusted, later, seed=0)
    return accuracy(copy, SPLIT.test_x, SPLIT.test_y)


def test_a_permutation_of_the_labels_teaches_the_features() -> None:
    """Answers that are always wrong in the same way still sort the inputs: the copy gains."""
    rng = np.random.default_rng(0)
    noise = _score(rng.integers(0, 10, len(SPLIT.train_y) - FEW))
    permuted = _score((SPLIT.train_y[FEW:] + 3) % 10)
    assert permuted > noise + 0.05


def test_the_same_seed_gives_the_same_copy() -> None:
    """Training is a function of its arguments."""
    labels = np.zeros(len(SPLIT.train_y) - FEW, np.int64)
    assert _score(labels) == _score(labels)
