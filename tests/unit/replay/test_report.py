"""The report of a replay."""

from __future__ import annotations

import json
from pathlib import Path

from queen.replay.report import MOST_SHOWN, Contradiction, ReplayReport


def test_contradictions_are_kept_up_to_a_bound() -> None:
    """The first ones, in words that name file, line, query and field."""
    report = ReplayReport("digest")
    for line in range(MOST_SHOWN + 5):
        report.add(Contradiction("log", line, 2, "sqs", "0.5", "0.25"))
    assert [kept.line for kept in report.contradictions] == list(range(MOST_SHOWN))
    assert str(report.contradictions[3]) == "log:3, query 2: sqs: expected 0.5, got 0.25"


def test_a_report_is_written_whole() -> None:
    """As JSON, with its conclusion."""
    report = ReplayReport("digest", requests=3, contradicting=1)
    report.verdicts["RECORD"] += 2
    report.add(Contradiction("log", 1, 0, "sqs", "0.5", "0.25"))
    document = json.loads(json.dumps(report.as_json()))
    assert document["requests"] == 3
    assert document["verdicts"] == {"RECORD": 2}
    assert document["contradictions"][0]["what"] == "sqs"
    assert document["is_reproduced"] is False


def test_only_what_follows_is_reproduced() -> None:
    """A contradiction in a verdict or in a chain denies it; a gap does not."""
    assert ReplayReport("digest", gaps=3, other_lines=1).is_reproduced
    assert not ReplayReport("digest", contradicting=1).is_reproduced
    assert not ReplayReport("digest", broken_chains=1).is_reproduced


def test_files_are_numbered() -> None:
    """In the order in which they are read."""
    report = ReplayReport("digest")
    assert [report.add_file(Path(name)) for name in "ab"] == [0, 1]
    assert report.files == ["a", "b"]
