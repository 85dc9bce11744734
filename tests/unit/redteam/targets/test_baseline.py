"""A protectee defended by a baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.redteam.defenses import Asked
from queen.redteam.targets.base import Answers
from queen.redteam.targets.baseline import BaselineTarget
from queen.redteam.targets.protectee import open_protectee
from tests.bundles import SmallBundle, make_bundle


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with four classes."""
    return make_bundle(Path(tmp_path_factory.mktemp("baseline")) / "bundle")


def next_class(asked: Asked) -> Answers:
    """The protectee's numbers, each moved to the next class."""
    return np.roll(asked.probabilities, 1, axis=1)


def test_answers_are_the_baselines_and_are_kept_beside_the_protectees(small: SmallBundle) -> None:
    """By account, without verdicts."""
    target = BaselineTarget(open_protectee(open_bundle(small.path)), next_class)
    answers = target.open_account("a").ask(small.inputs[:30])
    target.open_account("b").ask(small.inputs[:5])
    own = target.traffic.of("a").own
    assert own is not None
    np.testing.assert_array_equal(answers, np.roll(own, 1, axis=1))
    assert target.traffic.is_reversed is None
    assert target.traffic.of("b").queries == 5
    assert target.num_classes == 4
