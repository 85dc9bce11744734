"""Scenarios of the demo."""

from __future__ import annotations

import numpy as np
import pytest

from queen.demo.scenario import DemoOptions, draw_demo, scenario_of
from queen.errors import ConfigError


def test_a_demo_follows_from_its_seed() -> None:
    """The same queries for the same seed, as many as the scenario says; a budget may be given."""
    first, again, other = (draw_demo(DemoOptions(seed=seed, budget=7)) for seed in (0, 0, 1))
    assert {len(thief.queries) for thief in first.thieves} == {first.scenario.thief_queries}
    for one, same, another in zip(
        (*first.thieves, *first.customers),
        (*again.thieves, *again.customers),
        (*other.thieves, *other.customers),
        strict=True,
    ):
        np.testing.assert_array_equal(one.queries, same.queries)
        assert not np.array_equal(one.queries, another.queries)
    assert first.budget == 7
    assert draw_demo(DemoOptions()).budget == scenario_of("digits").budget


def test_the_customers_ask_what_their_titles_say() -> None:
    """An ordinary one little, a heavy one about two classes, another one about everything."""
    demo = draw_demo(DemoOptions())
    ordinary, two, repeated, everything = demo.customers
    scenario = demo.scenario
    assert len(ordinary.queries) == scenario.ordinary_queries
    assert len(two.queries) == len(repeated.queries) == len(everything.queries)
    assert len(two.queries) == scenario.heavy_queries > len(demo.split.test_x)
    assert len(np.unique(two.truth)) == 2
    assert len(np.unique(everything.truth)) == 10


def test_an_unknown_data_set_is_refused() -> None:
    """The error names the known ones."""
    with pytest.raises(ConfigError, match="digits, fashion-mnist, got imagenet"):
        scenario_of("imagenet")
