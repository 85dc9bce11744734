"""Plans of logs that are whole, cut, given twice or in any order."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from queen.bundle import Bundle
from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF
from queen.planning import PlanOptions, PlanReport, plan
from tests.unit.planning.traffics import OBSERVED, observed_log
from tests.unit.replay.logs import entries, spread, write
from tests.unit.replay.written import WrittenLog

OPTIONS = PlanOptions([4, 10, 20], [1, 2], [CAP_OFF, 2], spare=0.0)


@pytest.fixture(scope="module")
def records(bundle: Bundle) -> list[dict[str, Any]]:
    """The records of a log of two observed accounts."""
    return entries(observed_log(bundle))


def results(report: PlanReport) -> list[Any]:
    """The part of a report that does not depend on how the log was cut into files."""
    return [replace(report, reading={}).as_json()]


def test_a_larger_budget_than_that_in_force_is_told(bundle: Bundle, tmp_path: Path) -> None:
    """The log was written under a budget of 8; each account has used up one of 20."""
    report = plan([observed_log(bundle).write(tmp_path / "log")], bundle, OPTIONS)
    assert (report.accounts, report.groups, report.queries) == (2, 1, 120)
    assert (report.gaps, report.contradictions, report.resets) == (0, 0, 0)
    assert report.other_queries == 60
    alone = {finding.policy: finding for finding in report.findings if finding.policy.breadth == 1}
    overs = [alone[policy].over for policy in sorted(alone)]
    firsts = [alone[policy].median_first for policy in sorted(alone)]
    assert overs == [2, 2, 2]
    assert firsts == sorted(firsts)
    # Each asked about one class alone: two are never crossed, but a cap of two budgets may be.
    assert {finding.over for finding in report.findings if finding.policy.class_cap == 2} <= {1, 2}
    assert not any(
        finding.over for finding in report.findings if finding.policy[1:] == (2, CAP_OFF)
    )


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_however_a_log_is_cut_the_plan_is_the_same(
    bundle: Bundle,
    records: list[dict[str, Any]],
    tmp_path: Path,
    chance: random.Random,
    parts: int,
) -> None:
    """Files in any order, given twice, the last line half written."""
    whole = plan([write(tmp_path / "whole", records)], bundle, OPTIONS)
    cuts = sorted(chance.sample(range(1, len(records)), parts - 1))
    files = [
        write(tmp_path / f"part{at}", records[start:end])
        for at, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(records)], strict=True))
    ]
    files += chance.sample(files, 1)
    chance.shuffle(files)
    with files[0].open("a") as stream:
        stream.write('{"ts": "20')
    report = plan(files, bundle, OPTIONS)
    assert results(report) == results(whole)
    assert report.reading["duplicates"] > 0
    assert report.reading["truncated"]


@given(st.lists(st.integers(0, 35), unique=True, max_size=20))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_missing_records_are_counted_and_never_tell_too_much(
    bundle: Bundle, records: list[dict[str, Any]], tmp_path: Path, lost: list[int]
) -> None:
    """A crossing whose record is not in the log is told late or not at all."""
    whole = plan([write(tmp_path / "whole", records)], bundle, OPTIONS)
    kept = [record for at, record in enumerate(records) if at not in lost]
    if not any(record["profile"] == "observe" for record in kept):
        return
    report = plan([write(tmp_path / "kept", kept)], bundle, OPTIONS)
    # The log ends with queries that recorded something, so only what it lacks amid is a gap.
    observed = [at for at, record in enumerate(records) if record["profile"] == "observe"]
    amid = [at for at in lost if any(later in observed for later in range(at + 1, 36))]
    assert (report.gaps > 0) <= bool(set(amid) & set(observed))
    assert report.accounts_with_gaps <= report.accounts
    for ours, all_of_it in zip(report.findings, whole.findings, strict=True):
        assert ours.policy == all_of_it.policy
        assert ours.over <= all_of_it.over


@pytest.mark.parametrize(
    ("spoil", "field", "count"),
    [
        (lambda records: records.pop(0), "gaps", 1),
        (lambda records: records[0].update(profile="paper"), "gaps", 0),
        (lambda records: [one.update(exempt=True) for one in records], "exempt_accounts", 2),
    ],
)
def test_what_a_log_lacks_is_said(
    bundle: Bundle,
    records: list[dict[str, Any]],
    tmp_path: Path,
    spoil: Callable[[list[dict[str, Any]]], Any],
    field: str,
    count: int,
) -> None:
    """Gaps and exempt accounts; the name of a profile alone makes no account observed."""
    changed = json.loads(json.dumps(records))
    spoil(changed)
    report = plan([write(tmp_path / "log", changed)], bundle, OPTIONS)
    assert getattr(report, field) == count


def test_an_erasure_is_counted_and_begins_anew(bundle: Bundle, tmp_path: Path) -> None:
    """Both ledgers of the account are erased; it crosses again in its second life."""
    log = observed_log(bundle)
    for owner in ("alice", "observed alice"):
        log.erase(owner)
        log.book.forget(owner)
    log.ask(OBSERVED, spread(0, 1, 30))
    report = plan([log.write(tmp_path / "log")], bundle, PlanOptions([10], [1], spare=0.0))
    assert report.resets == 1
    assert report.gaps == 0
    (stories,) = report.stories.values()
    crossed = [story.crossed for story in stories if len(story.crossed) > 1]
    assert [[label for label, _ in pairs] for pairs in crossed] == [[1, 1]]
    assert 60 < crossed[0][1][1] <= 90


def test_accounts_and_groups_that_were_observed_in_part_are_counted(
    bundle: Bundle, tmp_path: Path
) -> None:
    """An account whose profile changed, and a group with a member that was served."""
    log = WrittenLog(bundle, budget=8)
    log.ask(OBSERVED[:2], spread(0, 1, 5) + spread(1, 2, 5))
    served = replace(OBSERVED[1], is_observed=False)
    log.ask([OBSERVED[0], served], spread(1, 2, 9)[5:])
    report = plan([log.write(tmp_path / "log")], bundle, OPTIONS)
    assert (report.partly_observed, report.mixed_groups, report.other_queries) == (1, 1, 4)


def test_a_budget_without_room_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Before the log is read."""
    with pytest.raises(ConfigError, match="expected budgets of at most"):
        plan([tmp_path / "none"], bundle, PlanOptions([10**6]))
