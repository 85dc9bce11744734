"""The queries of a log that are planned with, and their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.bundle import Bundle
from queen.errors import DecisionLogInvalid
from queen.planning.traffic import ObservedTraffic, TrafficReader
from queen.replay.lines import LogReader
from queen.replay.report import ReplayReport
from tests.unit.planning.traffics import charged, observed_log
from tests.unit.replay.logs import crossing, entries, write


def read(bundle: Bundle, *logs: Path) -> tuple[ObservedTraffic, TrafficReader]:
    """The traffic of logs, and its reader."""
    report = ReplayReport(bundle.digest)
    reader = TrafficReader(report.files, bundle.geometry)
    for chunk in LogReader(bundle, report, skip_other_bundles=False).chunks(logs):
        reader.add(chunk)
    return reader.close(), reader


def test_queries_of_observed_accounts_are_kept_and_others_counted(
    bundle: Bundle, tmp_path: Path
) -> None:
    """They go on growing past the budget that is in force; so does their group."""
    traffic, reader = read(bundle, observed_log(bundle).write(tmp_path / "log"))
    assert len(traffic) == 120
    assert (reader.other_rows, len(reader.other_accounts)) == (60, 1)
    assert traffic.own.is_novel.sum() > 2 * 8
    assert len(traffic.grouped.rows) == 60
    assert np.array_equal(traffic.grouped.after, traffic.own.after[traffic.accounts == 1])
    owners, gaps, overlaps = traffic.own.breaks()
    assert (owners.tolist(), gaps, overlaps) == ([], 0, 0)


def test_the_order_of_the_files_changes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    """Time orders the queries, also where a file was rotated within a microsecond."""
    records = entries(observed_log(bundle))
    for at, record in enumerate(records):
        record["ts"] = f"2026-01-01T00:00:00.{at // 3:06d}Z"
    whole, _ = read(bundle, write(tmp_path / "whole", records))
    older, newer = (
        write(tmp_path / f"log{at}", part) for at, part in enumerate((records[:7], records[7:]))
    )
    rotated, _ = read(bundle, newer, older)
    assert np.array_equal(rotated.own.after, whole.own.after)
    assert np.array_equal(rotated.times, whole.times)


def test_a_log_without_observed_accounts_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """In words that say what to do."""
    with pytest.raises(DecisionLogInvalid, match="give accounts the profile observe"):
        read(bundle, crossing(bundle).write(tmp_path / "log"))


def test_a_time_that_cannot_be_read_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """With a place in the log."""
    records = entries(observed_log(bundle))
    records[4]["ts"] = "yesterday"
    with pytest.raises(DecisionLogInvalid, match=r"log:1 or after: expected times like"):
        read(bundle, write(tmp_path / "log", records))


def test_records_that_are_not_in_the_log_are_gaps() -> None:
    """Owner by owner; a ledger that seems to shrink is a contradiction."""
    lifts = [(0, 0, 0.0, 0.1), (0, 0, 0.3, 0.4), (1, 0, 0.0, 0.1), (2, 1, 0.5, 0.6)]
    owners, gaps, overlaps = charged(lifts, [0, 1, 2, 3], [5, 6, 7]).breaks()
    assert (owners.tolist(), gaps, overlaps) == ([5, 7], 2, 0)
    lifts = [(0, 0, 0.0, 0.2), (0, 0, 0.1, 0.3)]
    assert charged(lifts, [0, 1], [5]).breaks()[2] == 1
