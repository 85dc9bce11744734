"""The crossing policies that a log states, as thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle
from queen.errors import DecisionLogInvalid
from queen.method.crossing import CAP_OFF, UNSTATED, CrossingPolicy, policy_thresholds
from queen.replay.lines import LogReader
from queen.replay.policies import StatedPolicies, caps_of
from queen.replay.report import ReplayReport
from tests.unit.replay.logs import entries, spread, write
from tests.unit.replay.written import WrittenLog

POLICIES = [
    AccountPolicy("a", CrossingPolicy(4, 2, 3), group="g", group_crossing=CrossingPolicy(9, 1)),
    AccountPolicy("b"),
]


def test_every_query_has_the_limits_of_the_policy_that_it_states(
    bundle: Bundle, tmp_path: Path
) -> None:
    """Of its account and of its group; without a group none can be reached."""
    log = WrittenLog(bundle, budget=5)
    log.ask(POLICIES, spread(0, 1, 3) + spread(1, 2, 2))
    report = ReplayReport(bundle.digest)
    reader = LogReader(bundle, report, skip_other_bundles=False)
    (chunk,) = reader.chunks([log.write(tmp_path / "log")])
    policies = StatedPolicies(bundle, report)
    own, of_group = (policies.limits(chunk, prefix) for prefix in ("", "group_"))
    first = policy_thresholds(bundle.geometry, bundle.mean_squared_sqs, CrossingPolicy(4, 2, 3))
    other = policy_thresholds(
        bundle.geometry, bundle.mean_squared_sqs, CrossingPolicy(5, 1, CAP_OFF)
    )
    assert own.thresholds.tolist() == [first.thresholds[1]] * 3 + [other.thresholds[2]] * 2
    assert own.caps.tolist() == [caps_of(first)[1]] * 3 + [np.inf] * 2
    assert own.needed.tolist() == [2] * 3 + [1] * 2
    assert own.alone.tolist() == [caps_of(first)[1]] * 3 + [other.thresholds[2]] * 2
    assert own.select(np.array([3])).needed.tolist() == [1]
    assert np.isinf(of_group.alone[3:]).all()
    assert np.isfinite(of_group.alone[:3]).all()
    known = policies.known(CrossingPolicy(4, 2, 3))
    assert known.caps is not None
    assert policies.known(UNSTATED).caps is None


def test_a_policy_that_no_region_has_room_for_is_named_by_its_line(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The log is of another bundle, whatever it says."""
    log = WrittenLog(bundle, budget=5)
    log.ask(POLICIES, spread(0, 1, 3))
    records = entries(log)
    records[0]["class_cap"] = 10**6
    report = ReplayReport(bundle.digest)
    reader = LogReader(bundle, report, skip_other_bundles=False)
    (chunk,) = reader.chunks([write(tmp_path / "log", records)])
    with pytest.raises(DecisionLogInvalid, match=r"log:1: expected a class cap of 1 to"):
        StatedPolicies(bundle, report).limits(chunk, "")
