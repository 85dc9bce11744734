"""The lines of a log that are read, left out or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from queen.bundle import Bundle
from queen.errors import DecisionLogInvalid
from queen.replay import replay
from tests.unit.replay.logs import crossing, entries, relabelled, write


def test_lines_that_are_there_twice_count_once(bundle: Bundle, tmp_path: Path) -> None:
    """Giving a file twice is no contradiction; the same request with other content is."""
    path = crossing(bundle).write(tmp_path / "log")
    report = replay([path, path], bundle)
    assert report.is_reproduced
    assert (report.requests, report.duplicates) == (16, 16)
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    again = write(tmp_path / "again", [{**records[0], "profile": "safe"}])
    assert not replay([path, again], bundle).is_reproduced


def test_the_chunk_size_changes_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chains run on from chunk to chunk, and contradictions are placed in their own line."""
    records = entries(crossing(bundle))
    relabelled("REVERSE", "PRESERVE")(records)
    path = write(tmp_path / "log", records)
    whole = replay([path], bundle)
    monkeypatch.setattr("queen.replay.lines.CHUNK_ROWS", 7)
    assert replay([path], bundle) == whole


def test_requests_without_a_verdict_are_counted_apart(bundle: Bundle, tmp_path: Path) -> None:
    """Nothing was decided on them, so nothing of them is checked."""
    records = entries(crossing(bundle))
    keep = ("logger", "bundle", "request_id", "account_hash", "profile", "rows", "ts")
    unassessed = {name: records[1][name] for name in keep}
    unassessed |= {"msg": "unassessed", "failure_mode": "protect", "request_id": "0" * 16}
    report = replay([write(tmp_path / "log", [*records, unassessed])], bundle)
    assert (report.reproduced, report.contradicting) == (80, 0)
    assert report.unassessed_rows == 5
    assert report.failure_modes == {"protect": 1}
    assert report.is_reproduced


def test_what_the_log_left_out_is_counted_apart(bundle: Bundle, tmp_path: Path) -> None:
    """A line of an account and a minute; a line that is there twice counts once."""
    records = entries(crossing(bundle))
    keep = ("logger", "bundle", "account_hash", "profile", "ts")
    left_out = {name: records[1][name] for name in keep} | {"msg": "left_out", "rows": 70}
    left_out |= {"request_id": "0" * 16, "requests": 9, "over_budget": 4}
    report = replay([write(tmp_path / "log", [*records, left_out, left_out])], bundle)
    assert (report.reproduced, report.contradicting, report.duplicates) == (80, 0, 1)
    assert (report.left_out_requests, report.left_out_rows) == (9, 70)
    assert report.refusals == {"over_budget": 4}
    with pytest.raises(DecisionLogInvalid, match="'requests'"):
        replay([write(tmp_path / "log", [left_out | {"requests": 0}])], bundle)


def test_a_last_line_that_is_cut_off_is_reported(bundle: Bundle, tmp_path: Path) -> None:
    """A process that was killed leaves half a line; the rest of the log counts."""
    path = crossing(bundle).write(tmp_path / "log")
    path.write_bytes(path.read_bytes()[:-20])
    report = replay([path], bundle)
    assert report.is_reproduced
    assert report.truncated == [str(path)]
    assert report.requests == 15


def test_other_lines_and_unknown_fields_are_ignored(bundle: Bundle, tmp_path: Path) -> None:
    """A log may be the front door's whole stream, of this Queen or a later one."""
    records = entries(crossing(bundle))
    records[3]["something_new"] = {"a": 1}
    other = {"logger": "peer", "msg": "peer serves"}
    report = replay([write(tmp_path / "log", [other, *records])], bundle)
    assert report.is_reproduced
    assert report.other_lines == 1


@pytest.mark.parametrize(("line", "words"), [(b"{\n", "a line of JSON"), (b"[1]\n", "an object")])
def test_a_line_that_is_no_record_is_refused(
    bundle: Bundle, tmp_path: Path, line: bytes, words: str
) -> None:
    """Amid the log half a line is damage, not an end."""
    path = crossing(bundle).write(tmp_path / "log")
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(DecisionLogInvalid, match=f"log:1: expected {words}"):
        replay([path], bundle)


def test_records_of_other_bundles_can_be_left_out(bundle: Bundle, tmp_path: Path) -> None:
    """A log goes on when a bundle is replaced."""
    records = entries(crossing(bundle))
    records[0]["bundle"] = "0" * 64
    path = write(tmp_path / "log", records)
    report = replay([path], bundle, skip_other_bundles=True)
    assert report.is_reproduced
    assert (report.other_bundles, report.requests) == (1, 15)


def test_a_log_without_a_decision_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Nothing to check is not the same as nothing wrong."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    with pytest.raises(DecisionLogInvalid, match="expected decision records, got none"):
        replay([path], bundle)
