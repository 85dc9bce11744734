"""Claims that an owner is over its budget, against the records of all its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Scope
from queen.replay import ReplayReport, replay
from tests.unit.replay.logs import entries, spread, write
from tests.unit.replay.written import WrittenLog

CLASSES = 4
TWO = CrossingPolicy(3, 2, CAP_OFF)


def asked(bundle: Bundle, policy: AccountPolicy, *, count: int = 25) -> list[dict[str, Any]]:
    """Records of an account that asks about class after class, some queries of each in turn."""
    log = WrittenLog(bundle)
    spreads = [spread(0, label, count) for label in range(CLASSES)]
    for cut in range(0, count, 5):
        for points in spreads:
            log.ask([policy], points[cut : cut + 5])
    return entries(log)


def replayed(bundle: Bundle, tmp_path: Path, records: list[dict[str, Any]]) -> ReplayReport:
    """The replay of records."""
    return replay([write(tmp_path / "log", records)], bundle)


@pytest.mark.parametrize("crossing", [TWO, CrossingPolicy(3, 2, 2), CrossingPolicy(3, 1, CAP_OFF)])
@pytest.mark.parametrize("group", ["", "acme"])
def test_what_the_engine_claims_is_founded(
    bundle: Bundle, tmp_path: Path, crossing: CrossingPolicy, group: str
) -> None:
    """By breadth and by class cap, of accounts and of groups; nothing is stale with one writer."""
    policy = AccountPolicy("a", crossing, Scope.ACCOUNT, group, crossing)
    report = replayed(bundle, tmp_path, asked(bundle, policy))
    assert report.is_reproduced, report.contradictions
    assert (report.unfounded, report.unshown, report.stale) == (0, 0, 0)
    assert report.verdicts["REVERSE"] > 20


def test_an_owner_that_no_record_puts_over_is_a_contradiction(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The verdicts agree with the claims, and the records of all classes do not."""
    records = asked(bundle, AccountPolicy("a", CrossingPolicy(100, 2, CAP_OFF), Scope.ACCOUNT))
    record = records[-1]
    record["over"] = [1] * record["rows"]
    record["verdict"] = ["REVERSE"] * record["rows"]
    record["cause"] = ["ACCOUNT"] * record["rows"]
    report = replayed(bundle, tmp_path, records)
    assert not report.is_reproduced
    assert (report.contradicting, report.unfounded, report.unshown) == (0, 1, 0)
    (contradiction,) = report.contradictions
    assert (contradiction.line, contradiction.what) == (len(records), "over")


def test_records_that_the_log_does_not_hold_may_put_an_owner_over(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The later half of a log, or a log without a class, contradicts nothing: it is counted."""
    records = asked(bundle, AccountPolicy("a", TWO, Scope.ACCOUNT))
    is_over = [index for index, record in enumerate(records) if 1 in record["over"]]
    later = replayed(bundle, tmp_path, records[is_over[0] + 8 :])
    assert later.is_reproduced
    one_class = [record for record in records if set(record["class"]) == {3}]
    report = replayed(bundle, tmp_path, one_class)
    assert report.is_reproduced, report.contradictions
    assert (report.unfounded, report.unshown) == (0, 1)


def test_a_request_that_puts_its_own_account_over_knows_it(bundle: Bundle, tmp_path: Path) -> None:
    """A claim that leaves it out is stale: only another writer makes such, and it is too mild."""
    log = WrittenLog(bundle)
    policy = AccountPolicy("a", TWO)
    log.ask([policy], [*spread(0, 0, 25), *spread(0, 1, 25), *spread(0, 2, 3, reach=5.0)])
    records = entries(log)
    assert replayed(bundle, tmp_path, records).stale == 0
    (record,) = records
    assert record["over"][-3:] == [1, 1, 1]
    record["over"][-3:] = [0, 0, 0]
    report = replayed(bundle, tmp_path, records)
    assert report.is_reproduced, report.contradictions
    assert report.stale == 3


def test_a_class_at_its_cap_says_by_itself_that_its_owner_is_over(
    bundle: Bundle, tmp_path: Path
) -> None:
    """A claim against the query's own numbers is a contradiction, whatever the log holds."""
    log = WrittenLog(bundle)
    log.ask([AccountPolicy("a", CrossingPolicy(3, 4, 2))], spread(0, 1, 40))
    (record,) = entries(log)
    row = record["verdict"].index("REVERSE")
    record["over"][row] = 0
    report = replayed(bundle, tmp_path, [record])
    wrong = [one for one in report.contradictions if one.row == row]
    assert "over" in {contradiction.what for contradiction in wrong}


def test_a_refused_request_is_reproduced_with_what_it_was_charged_for(
    bundle: Bundle, tmp_path: Path
) -> None:
    """It puts its own account over: the records up to there found the claim."""
    log = WrittenLog(bundle)
    policy = AccountPolicy("a", TWO, Scope.REPEATED)
    spreads = [spread(0, label, 25) for label in range(CLASSES)]
    for points in spreads:
        log.ask([policy], points[:1])
    log.ask([policy], [point for points in spreads for point in points])
    for points in spreads:
        log.ask([policy], points[1:2])
    records = entries(log)
    refused = records[CLASSES]
    assert {"REVERSE", "RECORD"} <= set(refused["verdict"])
    assert refused["over"] == sorted(refused["over"])
    assert all(set(record["over"]) == {1} for record in records[CLASSES + 1 :])
    report = replayed(bundle, tmp_path, records)
    assert report.is_reproduced, report.contradictions
    assert (report.unfounded, report.unshown, report.stale, report.gaps) == (0, 0, 0, 0)
    assert report.records == log.records_of("a")
