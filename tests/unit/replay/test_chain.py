"""The records of a ledger follow one another, or contradict each other."""

from __future__ import annotations

from pathlib import Path

from queen.bundle import Bundle
from queen.replay import replay
from tests.unit.replay.logs import PLAIN, crossing, entries, first_with, spread, write


def test_a_request_that_is_missing_is_a_gap(bundle: Bundle, tmp_path: Path) -> None:
    """What the log does not hold is counted, and contradicts nothing."""
    records = entries(crossing(bundle))
    lost = [record for record in records if "group_hash" not in record]
    report = replay(
        [write(tmp_path / "log", [one for one in records if one is not lost[1]])], bundle
    )
    assert report.is_reproduced
    assert report.gaps == 1
    assert replay([write(tmp_path / "log", records[4:])], bundle).gaps == 3


def test_two_records_from_one_cqs_are_a_contradiction(bundle: Bundle, tmp_path: Path) -> None:
    """A ledger that was set back and grew again shows itself; within a log or across two."""
    first, second = crossing(bundle), crossing(bundle)
    logs = [first.write(tmp_path / "a"), second.write(tmp_path / "b")]
    report = replay(logs, bundle)
    assert report.contradicting == 0
    assert report.broken_chains > 5
    assert not report.is_reproduced
    assert any("b:" in str(one) and "a:" in str(one) for one in report.contradictions)


def test_after_an_erasure_a_ledger_begins_again(bundle: Bundle, tmp_path: Path) -> None:
    """The same records a second time, in another generation, contradict nothing."""
    log = crossing(bundle)
    log.erase("alice")
    log.ask(PLAIN, spread(0, 1, 10))
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.is_reproduced, report.contradictions
    assert report.ledgers == 4
    records = entries(log)
    assert records[-1]["generation"][0] > 0
    records[-1]["generation"] = [0] * 10
    report = replay([write(tmp_path / "log", records)], bundle)
    assert report.broken_chains > 0


def test_within_a_request_cqs_never_falls(bundle: Bundle, tmp_path: Path) -> None:
    """A later query that finds less than an earlier one left is named."""
    records = entries(crossing(bundle))
    record = records[0]
    record["cqs_before"][-1] = record["cqs_before"][0]
    report = replay([write(tmp_path / "log", records)], bundle)
    assert report.broken_chains > 0
    assert any(one.what == "cqs_before" and one.row == 4 for one in report.contradictions)


def test_a_query_that_saw_a_ledger_amid_a_record_is_found(bundle: Bundle, tmp_path: Path) -> None:
    """No ledger ever had such a cqs."""
    records = entries(crossing(bundle))
    line, row = first_with(records, "REVERSE")
    one = {name: records[line][name] for name in records[line]}
    before, after = records[0]["cqs_before"][0], records[0]["cqs_after"][0]
    middle = (before + after) / 2
    lists = {name: [value[0]] for name, value in records[0].items() if isinstance(value, list)}
    seen = {"cqs_before": [middle], "cqs_after": [middle], "novel": [0], "verdict": ["PRESERVE"]}
    fake = {**records[0], **lists, **seen, "rows": 1, "request_id": "f" * 16}
    report = replay([write(tmp_path / "log", [*records, fake])], bundle)
    assert one["verdict"][row] == "REVERSE"
    assert report.contradicting == 0
    assert report.broken_chains == 1
    (wrong,) = report.contradictions
    assert (wrong.line, wrong.row) == (17, 0)
