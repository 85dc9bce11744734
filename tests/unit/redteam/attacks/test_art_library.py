"""The library's attacks, charged like every other."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from queen.errors import ConfigError
from queen.redteam.attacks import ATTACKS, art_library
from queen.redteam.datasets import Split
from queen.redteam.networks import accuracy
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.known_recipe import Served, distorted, thief_of


@pytest.mark.parametrize("name", ["art-knockoff", "art-copycat"])
def test_the_library_is_charged_for_every_row(protectee: nn.Module, split: Split, name: str):
    """It asks about the whole stream once, over all accounts, and gives a copy above chance."""
    served, thief = Served(protectee, lambda clean: clean), thief_of(split, 300, accounts=4)
    meter = MeteredTarget(served, 300)
    copy = ATTACKS[name].steal(meter, thief)
    assert meter.spent == 300
    asked = {name: np.concatenate(batches) for name, batches in served.received.items()}
    assert [len(rows) for rows in asked.values()] == [75] * 4
    rows = np.concatenate(list(asked.values()))
    assert {row.tobytes() for row in rows} <= {row.tobytes() for row in thief.stream}
    assert accuracy(copy, split.test_x, split.test_y) > 0.6


def test_the_library_follows_from_the_seed(protectee: nn.Module, split: Split):
    """It draws the same twice, and leaves the global generators where they were."""
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    copies = [
        ATTACKS["art-copycat"].steal(
            MeteredTarget(Served(protectee, distorted), 20), thief_of(split, 20)
        )
        for _ in range(2)
    ]
    first, second = (copy.state_dict() for copy in copies)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


def test_a_missing_library_is_named(protectee, split: Split, monkeypatch: pytest.MonkeyPatch):
    """The error says what to install, and nothing was asked."""
    for module in [name for name in sys.modules if name.split(".")[0] == "art"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "art", None)
    meter = MeteredTarget(Served(protectee, distorted), 10)
    with pytest.raises(ConfigError, match=r"queen\[redteam\]"):
        art_library.ATTACKS[0].steal(meter, thief_of(split, 10))
    assert meter.spent == 0
