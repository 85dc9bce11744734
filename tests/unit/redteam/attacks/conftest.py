"""Fixtures of all attacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from queen.redteam import learner
from queen.redteam.datasets import Split, load_digits_split
from queen.redteam.learner import Effort
from queen.redteam.networks import Regime, build_network, train_network


@pytest.fixture(scope="module", autouse=True)
def quick_training() -> Iterator[None]:
    """Networks this small are slower on more threads than on one, and few steps suffice."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learner.EFFORTS, "digits", Effort(check=100, patience=1, most=300))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def split() -> Split:
    """The digits, divided."""
    return load_digits_split(0)


@pytest.fixture(scope="session")
def protectee(split: Split) -> nn.Module:
    """A network that has learned them."""
    torch.manual_seed(0)
    return train_network(build_network("digits"), split.train_x, split.train_y, Regime(10, 0))
