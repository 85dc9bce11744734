"""Scenarios of the demo."""

from __future__ import annotations

import numpy as np
import pytest

from queen.demo.scenario import DemoOptions, draw_demo, scenario_of
from queen.errors import ConfigError


def test_a_demo_follows_from_its_seed() -> None:
    """The same queries for the same seed, as many as the scenario says; a budget may be given."""
    first, again, other = (draw_demo(DemoOptions(seed=seed, budget=7)) for seed in (0, 0, 1))
    assert len(first.queries) == first.scenario.thief_queries
    np.testing.assert_array_equal(first.queries, again.queries)
    assert not np.array_equal(first.queries, other.queries)
    assert first.budget == 7
    assert draw_demo(DemoOptions()).budget == scenario_of("digits").budget


def test_an_unknown_data_set_is_refused() -> None:
    """The error names the known ones."""
    with pytest.raises(ConfigError, match="digits, fashion-mnist, got imagenet"):
        scenario_of("imagenet")
