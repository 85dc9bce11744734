"""Networks that a defense runs in float64."""

from __future__ import annotations

import numpy as np
import torch

from queen.redteam.defenses.parts.surrogates import class_probabilities, random_network, wide_parts


def test_a_network_follows_from_its_seed_and_leaves_torchs_generator() -> None:
    """Two of a seed are the same, two of different seeds are not."""
    before = torch.random.get_rng_state()
    first, again, other = (random_network("digits", seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_a_row_has_the_same_probabilities_in_any_batch() -> None:
    """In float64, to the last digits, on both sides of a part's end."""
    network = random_network("digits", 0).double()
    inputs = np.random.default_rng(0).random((70, 64)).astype(np.float32)
    whole = class_probabilities(network, inputs)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(class_probabilities(network, inputs[65:66])[0], whole[65])
    assert class_probabilities(network, inputs[:0]).shape == (0, 10)


def test_parts_hold_all_rows_in_order() -> None:
    """Of no rows there is one empty part."""
    rows = np.arange(130, dtype=np.float32)[:, None]
    assert torch.cat(list(wide_parts(rows)))[:, 0].tolist() == list(range(130))
    assert [len(part) for part in wide_parts(rows[:0])] == [0]
