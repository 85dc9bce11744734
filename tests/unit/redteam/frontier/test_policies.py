"""The crossing policies of the sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF
from queen.redteam.frontier.policies import contenders
from tests.bundles import make_bundle


def test_policies_that_are_one_stand_once(tmp_path: Path) -> None:
    """At breadth 1 or cap 1 the first crossing decides; the share of all classes is ignored."""
    bundle = open_bundle(make_bundle(tmp_path / "bundle").path)
    policies = list(contenders(bundle, 5, breadths=(1, 3, 4), caps=(1, 3, CAP_OFF)))
    pairs = [(policy.breadth, policy.class_cap) for policy in policies]
    assert pairs == [(1, CAP_OFF), (3, 3), (3, CAP_OFF), (4, 3), (4, CAP_OFF)]
    assert [policy.thresholds.needed for policy in policies] == [1, 3, 3, 4, 4]
    assert len({policy.name for policy in policies}) == 5
    thresholds, caps = policies[1].levels
    assert np.allclose(caps, 3 * thresholds)
    assert np.isinf(policies[2].levels[1]).all()
    assert policies[2].key == {"budget": 5, "breadth": 3, "class_cap": None}


def test_a_cap_without_room_is_refused(tmp_path: Path) -> None:
    """As the service refuses it."""
    bundle = open_bundle(make_bundle(tmp_path / "bundle").path)
    with pytest.raises(ConfigError, match="class cap"):
        list(contenders(bundle, 100, caps=(10**6,), breadths=(3,)))
