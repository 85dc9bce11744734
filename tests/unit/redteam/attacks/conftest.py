"""Fixtures of all attacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from queen.redteam.attacks import decoder, preserved
from queen.redteam.datasets import Split, load_digits_split
from queen.redteam.leak import decoders
from queen.redteam.networks import Regime, build_network, train_network
from tests.experiments import quick_training


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Copies of few steps, trees of few bins, few epochs of a decoder or a restorer."""
    with quick_training() as patch:
        patch.setattr(preserved, "_BINS", 16)
        patch.setattr(decoder, "_TREES", 12)
        patch.setattr(decoders, "_TREES", 30)
        yield


@pytest.fixture(scope="session")
def split() -> Split:
    """The digits, divided."""
    return load_digits_split(0)


@pytest.fixture(scope="session")
def protectee(split: Split) -> nn.Module:
    """A network that has learned them."""
    torch.manual_seed(0)
    return train_network(build_network("digits"), split.train_x, split.train_y, Regime(10, 0))
