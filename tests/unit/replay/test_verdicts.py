"""Every verdict is computed again, and a claim that does not follow is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle
from queen.method.enforcement import Cause, Scope
from queen.replay import replay
from tests.unit.replay.logs import crossing, entries, first_with, relabelled, spread, write
from tests.unit.replay.written import WrittenLog


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
        far = [(owner, 0, 0.3 * number, 9.0) for number in range(20)]
        log.ask(policies, far[:10])
        log.ask(policies, far[10:])
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.is_reproduced, report.contradictions
    assert set(report.causes) == {Cause.OFF_DISTRIBUTION.name}
    assert report.verdicts["PRESERVE"] == 40 - report.verdicts["REVERSE"]
    assert 5 < report.verdicts["REVERSE"] < 20


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
        (changed("over", "REVERSE", lambda _: 0), "over"),
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
    wrong = [one for one in report.contradictions if one.what == what]
    assert [(one.file, one.line, one.row) for one in wrong] == [
        (str(tmp_path / "log"), line + 1, row)
    ]
    assert f"log:{line + 1}, query {row}: {what}: expected" in str(wrong[0])


def test_a_budget_that_was_changed_is_found(bundle: Bundle, tmp_path: Path) -> None:
    """Under another budget some verdict is another."""
    records = entries(crossing(bundle))
    for record in records:
        record["budget"] = 20
    assert replay([write(tmp_path / "log", records)], bundle).contradicting > 5


@pytest.mark.parametrize("prefix", ["observed_", "observed_group_"])
def test_observed_ledgers_are_checked_like_the_others(
    bundle: Bundle, tmp_path: Path, prefix: str
) -> None:
    """A record that weighs too much, and one that stands for a query outside of its region."""
    log = WrittenLog(bundle, budget=4)
    policies = [AccountPolicy("alice", group="acme", is_observed=True)]
    log.ask(policies, spread(0, 1, 20))
    log.ask(policies, [(0, 1, 0.0, 3.0)])
    report = replay([log.write(tmp_path / "log")], bundle)
    assert report.is_reproduced, report.contradictions
    assert report.ledgers == 4
    for line, row in ((0, 12), (1, 0)):
        records = entries(log)
        records[line][f"{prefix}cqs_after"][row] += 0.001
        report = replay([write(tmp_path / "log", records)], bundle)
        assert any(
            (wrong.line, wrong.row, wrong.what) == (line + 1, row, f"{prefix}cqs_after")
            for wrong in report.contradictions
        )
