"""What a replay says of logs that are not as the services wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle, open_bundle
from queen.errors import DecisionLogInvalid
from queen.method.ledger import Cause, Scope
from queen.replay import replay
from tests.bundles import make_bundle
from tests.unit.replay.written import Row, WrittenLog

PLAIN = [AccountPolicy("alice"), AccountPolicy("bob", group="acme", group_budget=6)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle in which a handful of records spend a budget."""
    path = Path(tmp_path_factory.mktemp("replay")) / "bundle"
    make_bundle(path, coverage_fraction=0.1)
    return open_bundle(path)


def spread(owner: int, label: int, count: int, reach: float = 0.9) -> list[Row]:
    """Queries of one class on a spiral, far enough from one another to be novel."""
    turns = np.linspace(0, 20, count)
    return [(owner, label, float(turn), reach * (0.3 + 0.7 * turn / 20)) for turn in turns]


def crossing(bundle: Bundle) -> WrittenLog:
    """A log in which two accounts, one of a group, spend their budgets in several requests."""
    log = WrittenLog(bundle, budget=8)
    for cut in range(0, 40, 5):
        log.ask(PLAIN, spread(0, 1, 40)[cut : cut + 5] + spread(1, 2, 40)[cut : cut + 5])
    return log


def entries(log: WrittenLog) -> list[dict[str, Any]]:
    """The records as objects."""
    return [json.loads(line) for line in log.lines()]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    """Records as a file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_an_untouched_log_is_reproduced_with_its_counts(bundle: Bundle, tmp_path: Path) -> None:
    """Requests, queries, verdicts, owners and records are counted as they were made."""
    log = crossing(bundle)
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.is_reproduced, report.contradictions
    assert (report.requests, report.rows, report.reproduced) == (16, 80, 80)
    assert (report.accounts, report.groups, report.ledgers) == (2, 1, 3)
    assert sum(report.verdicts.values()) == 80
    assert report.verdicts["REVERSE"] > 10
    assert {"ACCOUNT", "GROUP"} & report.causes.keys()
    assert report.records == sum(map(log.records_of, ("alice", "bob", "group acme")))
    assert report.gaps == report.broken_chains == 0


def test_off_distribution_and_exemption_are_reproduced(bundle: Bundle, tmp_path: Path) -> None:
    """The meter's claim turns every query of the scope ACCOUNT; an exemption takes it back."""
    policies = [
        AccountPolicy("far", scope=Scope.ACCOUNT),
        AccountPolicy("spared", scope=Scope.ACCOUNT, is_exempt=True),
    ]
    log = WrittenLog(bundle)
    for owner in (0, 1):
        far = [(owner, 0, 0.01 * number, 9.0) for number in range(20)]
        log.ask(policies, far[:10])
        log.ask(policies, far[10:])
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.is_reproduced, report.contradictions
    assert set(report.causes) == {Cause.OFF_DISTRIBUTION.name}
    assert report.verdicts["PRESERVE"] == 40 - report.verdicts["REVERSE"]
    assert 5 < report.verdicts["REVERSE"] < 20


def first_with(records: list[dict[str, Any]], verdict: str) -> tuple[int, int]:
    """Line and query of the first such verdict."""
    for line, record in enumerate(records):
        if verdict in record["verdict"]:
            return line, record["verdict"].index(verdict)
    raise AssertionError(verdict)


def relabelled(old: str, new: str) -> Callable[[list[dict[str, Any]]], tuple[int, int]]:
    """A verdict that was changed."""

    def change(records: list[dict[str, Any]]) -> tuple[int, int]:
        line, row = first_with(records, old)
        records[line]["verdict"][row] = new
        return line, row

    return change


def changed(name: str, verdict: str, by: Any) -> Callable[[list[dict[str, Any]]], tuple[int, int]]:
    """A field that was changed, in the first query with the verdict."""

    def change(records: list[dict[str, Any]]) -> tuple[int, int]:
        line, row = first_with(records, verdict)
        records[line][name][row] = by(records[line][name][row])
        return line, row

    return change


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (relabelled("REVERSE", "PRESERVE"), "verdict"),
        (relabelled("RECORD", "REVERSE"), "verdict"),
        (changed("cause", "REVERSE", lambda _: "OFF_DISTRIBUTION"), "cause"),
        (changed("cause", "RECORD", lambda _: "ACCOUNT"), "cause"),
        (changed("sqs", "RECORD", lambda sqs: sqs * 1.001), "sqs"),
        (changed("d", "RECORD", lambda d: d * 1.001), "sqs"),
        (changed("d", "RECORD", lambda d: d + 1e6), "verdict"),
        (changed("novel", "RECORD", lambda _: 0), "verdict"),
        (changed("novel", "REVERSE", lambda _: 0), "verdict"),
        (changed("cqs_after", "RECORD", lambda cqs: cqs * (1 + 1e-9)), "cqs_after"),
        (changed("cqs_before", "REVERSE", lambda cqs: cqs / 100), "verdict"),
        (changed("crossed", "REVERSE", lambda _: 0), "crossed"),
    ],
)
def test_a_tampered_line_is_found(
    bundle: Bundle,
    tmp_path: Path,
    tamper: Callable[[list[dict[str, Any]]], tuple[int, int]],
    what: str,
) -> None:
    """One changed number in one query: its file, line, query and field are named."""
    records = entries(crossing(bundle))
    line, row = tamper(records)
    report = replay([write(tmp_path / "log", records)], bundle)
    assert not report.is_reproduced
    assert report.contradicting == 1
    assert report.reproduced == report.rows - 1
    found = [one for one in report.contradictions if one.what == what]
    assert [(one.file, one.line, one.row) for one in found] == [
        (str(tmp_path / "log"), line + 1, row)
    ]
    assert f"log:{line + 1}, query {row}: {what}: expected" in str(found[0])


def test_a_budget_that_was_changed_is_found(bundle: Bundle, tmp_path: Path) -> None:
    """Under another budget some verdict is another."""
    records = entries(crossing(bundle))
    for record in records:
        record["budget"] = 20
    assert replay([write(tmp_path / "log", records)], bundle).contradicting > 5


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
    (found,) = report.contradictions
    assert (found.line, found.row) == (17, 0)


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


def broken(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A record with another value in a field."""
    return lambda record: record.__setitem__(name, value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda record: record.pop("cqs_before"), "expected a field 'cqs_before', got none"),
        (lambda record: record.pop("novel"), "expected a field 'novel', got none"),
        (broken("d", [0.1] * 4), "expected a list of 5 in 'd', got a list of 4"),
        (broken("d", [0.1, "x", 0, 0, 0]), "expected finite numbers in 'd', got \"x\""),
        (broken("sqs", [float("nan")] * 5), "expected finite numbers in 'sqs', got NaN"),
        (broken("cqs_after", [10**400] * 5), "expected finite numbers in 'cqs_after'"),
        (broken("class", [0, 1, 2, 3, 4]), "expected whole numbers from 0 to 3 in 'class', got 4"),
        (broken("novel", [True] * 5), "expected whole numbers from 0 to 1 in 'novel', got true"),
        (broken("verdict", ["SPARE"] * 5), "among PRESERVE, RECORD, REVERSE in 'verdict', got"),
        (broken("cause", [["ACCOUNT"]] * 5), "in 'cause', got a list of 1"),
        (broken("rows", 0), "expected a whole number from 1 on in 'rows', got 0"),
        (broken("budget", "100"), "expected a whole number from 1 on in 'budget', got '100'"),
        (broken("budget", 10**9), "expected a budget of at most"),
        (broken("scope", "all"), "expected one of query, class, account in 'scope'"),
        (broken("msg", "decided"), "expected 'decision' or 'unassessed' in msg, got 'decided'"),
        (broken("bundle", "0" * 64), "got 000000000000 (name that bundle, or skip"),
    ],
)
def test_a_bad_line_is_refused_in_words(
    bundle: Bundle, tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], words: str
) -> None:
    """File and line are named, with what was expected and got."""
    records = entries(crossing(bundle))
    spoil(records[6])
    path = write(tmp_path / "log", records)
    with pytest.raises(DecisionLogInvalid) as refused:
        replay([path], bundle)
    assert str(refused.value).startswith(f"{path}:7: ")
    assert words in str(refused.value)


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
