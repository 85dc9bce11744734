"""The requests that get a decision record, and its fields."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from queen_inference.decisions.file import line_of
from queen_inference.decisions.log import (
    LATE_SECONDS,
    DecisionLog,
    DecisionRecord,
    LateRecorder,
    hash_of,
)
from queen_inference.decisions.shares import Shares
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending, Span
from queen_inference.peers.sensitivity import Assessed

from queen.bundle import Bundle
from queen.decision_line import OVER_BUDGET
from queen.errors import DependencyUnavailable
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF
from queen.method.enforcement import Cause, Scope
from queen.method.facts import FACTS, Fact
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from queen.serving.logging import account_hash
from tests.unit.inference.conftest import Counted

ALICE = Account("alice", Profile.PAPER, account_hash("alice"))
GROUPED = Account("bob", Profile.STRICT, account_hash("bob"), "acme")


def spans_of(sizes: Sequence[int], account: Account = ALICE, request_id: str = "") -> list[Span]:
    """Requests of so many queries each."""
    loop = asyncio.new_event_loop()
    loop.close()
    ends = np.cumsum(sizes).tolist()
    return [
        (
            Pending(
                account, np.zeros((size, 1)), np.inf, 0.0, asyncio.Future(loop=loop), request_id
            ),
            slice(end - size, end),
        )
        for size, end in zip(sizes, ends, strict=True)
    ]


def assessed_of(verdicts: Sequence[Verdict], **fields: Any) -> Assessed:
    """Verdicts with facts; `fields` are some of theirs."""
    rows = len(verdicts)
    facts = np.zeros(rows, FACTS)
    facts["scopes"], facts["budgets"] = Scope.ACCOUNT, 100
    facts["distances"] = np.linspace(0.1, 0.9, rows)
    for name, values in fields.items():
        facts[name] = values
    numbers = np.array(verdicts, np.uint8)
    sqs = np.full(rows, 0.7, np.float32)
    causes = np.where(numbers == Verdict.REVERSE, np.uint8(Cause.GROUP), np.uint8(0))
    secrets, failures = np.zeros(rows, np.uint32), np.zeros(rows, np.uint8)
    return Assessed(numbers, causes, sqs, facts, secrets, failures)


P, R, X = Verdict.PRESERVE, Verdict.RECORD, Verdict.REVERSE


def written(
    bundle: Bundle, spans: Sequence[Span], assessed: Assessed, which: Any = "all", **options: Any
) -> list[dict[str, Any]]:
    """The records of a micro-batch, as objects."""
    records: list[DecisionRecord] = []
    log = DecisionLog(which, bundle, records.append, **options)
    log.record(spans, np.arange(len(assessed.verdicts)) % 3, assessed, {})
    return [json.loads(line_of(record)) for record in records]


@pytest.mark.parametrize(("which", "sizes"), [("off", []), ("flagged", [2]), ("all", [1, 1, 2])])
def test_the_setting_chooses_requests(bundle: Bundle, which: str, sizes: list[int]) -> None:
    """None, those with a REVERSE among their queries, or all."""
    lines = written(bundle, spans_of([1, 1, 2]), assessed_of([P, R, P, X]), which)
    assert [line["rows"] for line in lines] == sizes


def test_sampling_leaves_out_requests_of_preserve_alone(bundle: Bundle) -> None:
    """A share of these is written, and every one that recorded or was reversed."""
    verdicts = [P] * 4000 + [R] * 30 + [X] * 30
    lines = written(bundle, spans_of([1] * 4060), assessed_of(verdicts), share_of_preserved=0.25)
    kinds = [line["verdict"][0] for line in lines]
    assert kinds.count("RECORD") == kinds.count("REVERSE") == 30
    assert 850 < kinds.count("PRESERVE") < 1150
    drawn = [int(line["request_id"], 16) for line in lines if line["verdict"] == ["PRESERVE"]]
    assert max(drawn) < 2**62


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 500)])
def test_the_ends_of_sampling_are_none_and_all(bundle: Bundle, share: float, count: int) -> None:
    """No draw gets past 0 and none is refused at 1."""
    spans, assessed = spans_of([1] * 500), assessed_of([P] * 500)
    assert len(written(bundle, spans, assessed, share_of_preserved=share)) == count


@pytest.mark.parametrize("name", ["cqs_after", "group_cqs_after"])
def test_a_request_that_changed_a_ledger_is_never_sampled_out(bundle: Bundle, name: str) -> None:
    """An exempt account is PRESERVE where a budget is spent, and may be recorded all the same."""
    assessed = assessed_of([P, P], **{name: [0.0, 0.25]})
    records: list[DecisionRecord] = []
    log = DecisionLog("all", bundle, records.append, share_of_preserved=0.0)
    log.record(spans_of([1, 1]), np.zeros(2, np.int64), assessed, {})
    (record,) = records
    assert record.fields()["d"] == [0.9]
    assert record.harshest == "record"


def test_a_record_holds_what_its_verdicts_follow_from(bundle: Bundle) -> None:
    """By query in lists, by request in single values; cqs and d in all their digits."""
    third = 1 / 3
    bits = [Fact.NOVEL | Fact.OVER << 3, Fact.EXEMPT]
    assessed = assessed_of(
        [X, P],
        distances=[third, 2.0],
        cqs_before=[third, 0.5],
        cqs_after=[third, 0.5],
        group_cqs_before=[0.25, third],
        group_cqs_after=[0.25, third],
        group_generations=[5, 5],
        group_budgets=9,
        budgets=7,
        breadths=3,
        class_caps=CAP_OFF,
        group_breadths=5,
        group_class_caps=2,
        bits=bits,
    )
    (line,) = written(bundle, spans_of([2], GROUPED, "order-66"), assessed)
    single = {
        "bundle": bundle.digest,
        "model": "small",
        "account_hash": account_hash("bob"),
        "group_hash": account_hash("group acme"),
        "caller_id_hash": hash_of("request", "order-66"),
        "profile": "strict",
        "scope": "account",
        "budget": 7,
        "breadth": 3,
        "class_cap": "off",
        "group_budget": 9,
        "group_breadth": 5,
        "group_class_cap": 2,
        "exempt": False,
        "rows": 2,
    }
    assert {name: line[name] for name in single} == single
    lists = {
        "class": [0, 1],
        "verdict": ["REVERSE", "PRESERVE"],
        "cause": ["GROUP", ""],
        "d": [third, 2.0],
        "cqs_before": [third, 0.5],
        "cqs_after": [third, 0.5],
        "generation": [0, 0],
        "novel": [1, 0],
        "over": [0, 0],
        "off": [0, 0],
        "group_cqs_before": [0.25, third],
        "group_cqs_after": [0.25, third],
        "group_generation": [5, 5],
        "group_novel": [0, 0],
        "group_over": [1, 0],
        "group_off": [0, 0],
    }
    assert {name: line[name] for name in lists} == lists
    assert [np.float32(value) for value in line["sqs"]] == assessed.sqs.tolist()


def test_no_record_names_an_account_a_group_or_a_request(bundle: Bundle) -> None:
    """Hashes stand for them; a caller may have put an account id into its request id."""
    assessed = assessed_of([X], group_budgets=9)
    (line,) = written(bundle, spans_of([1], GROUPED, "bob of acme, order 66"), assessed)
    text = json.dumps(line)
    assert not any(name in text for name in ("bob", "acme", "order"))


def test_every_record_has_an_id_of_its_own(bundle: Bundle) -> None:
    """Also where callers give the same one, or none."""
    lines = written(bundle, spans_of([1] * 100, ALICE, "same"), assessed_of([P] * 100))
    assert len({line["request_id"] for line in lines}) == 100


def test_what_answered_instead_of_the_verdict_is_told(bundle: Bundle) -> None:
    """Of flagged rows without the perturber, and of requests without a verdict; or a refusal."""
    records: list[DecisionRecord] = []
    log = DecisionLog("all", bundle, records.append)
    spans = spans_of([1])
    log.record(spans, np.zeros(1, np.int64), assessed_of([X]), {spans[0][0]: "protect"})
    observer = Account("o", Profile.OBSERVE, "hash")
    batch = [spans_of([3])[0][0], spans_of([2], observer)[0][0]]
    outcomes = {batch[0]: "deny"}
    log.record_unassessed(batch, outcomes, DependencyUnavailable("sensitivity: UNAVAILABLE"))
    spans = spans_of([1])
    log.record(spans, np.zeros(1, np.int64), assessed_of([X]), {spans[0][0]: "hurried"})
    flagged, denied, observed, hurried = (json.loads(line_of(record)) for record in records)
    assert flagged["failure_mode"] == "protect"
    assert (denied["msg"], denied["failure_mode"], denied["rows"]) == ("unassessed", "deny", 3)
    assert observed["rows"] == 2
    assert hurried["refused"] == "hurried"
    assert not {"failure_mode", "refused"} & observed.keys()
    assert not {"failure_mode"} & hurried.keys()
    kinds = ["reverse", "unassessed", "unassessed", "reverse"]
    assert [record.harshest for record in records] == kinds


def test_requests_without_a_verdict_are_among_the_flagged(bundle: Bundle) -> None:
    """And those that a failure mode answered before their verdicts came; refusals are not."""
    records: list[DecisionRecord] = []
    log = DecisionLog("flagged", bundle, records.append)
    log.record_unassessed([spans_of([900])[0][0]], {}, DependencyUnavailable("gone"))
    spans = spans_of([1, 1, 1])
    outcomes = {spans[0][0]: "protect", spans[1][0]: "hurried"}
    log.record(spans, np.zeros(3, np.int64), assessed_of([P, P, P]), outcomes)
    unassessed, late = (line_of(record) for record in records)
    assert (json.loads(unassessed)["rows"], json.loads(late)["failure_mode"]) == (900, "protect")
    assert len(unassessed) < 600


def test_a_record_under_refuse_says_what_was_repeated_and_that_nothing_was_answered(
    bundle: Bundle,
) -> None:
    """Records of other scopes have no such list."""
    refused = Account("alice", Profile.REFUSE, account_hash("alice"))
    spans = spans_of([2], refused)
    assessed = assessed_of(
        [P, X], scopes=Scope.REPEATED, bits=[Fact.REPEATED | Fact.OVER, Fact.OVER]
    )
    records: list[DecisionRecord] = []
    log = DecisionLog("flagged", bundle, records.append)
    log.record(spans, np.zeros(2, np.int64), assessed, {spans[0][0]: OVER_BUDGET})
    line = json.loads(line_of(records[0]))
    assert (line["scope"], line["refused"]) == ("repeated", "over_budget")
    assert (line["repeated"], line["over"]) == ([1, 0], [1, 1])
    (other,) = written(bundle, spans_of([2]), assessed_of([P, X]))
    assert "repeated" not in other


class Minutes:
    """A clock, and a log that writes at most so many bytes a minute."""

    def __init__(self, bundle: Bundle, metrics: InferenceMetrics, size: int) -> None:
        self.now = 60.0
        self.records: list[DecisionRecord] = []
        shares = Shares(metrics.decisions_lost, size, lambda: self.now)
        self.log = DecisionLog("all", bundle, self.records.append, shares)

    def ask(self, account: Account, assessed: Assessed, outcome: str = "") -> None:
        """A request with these verdicts."""
        rows = len(assessed.verdicts)
        spans = spans_of([rows], account)
        self.log.record(spans, np.arange(rows) % 3, assessed, {spans[0][0]: outcome})

    def lines(self) -> list[dict[str, Any]]:
        """The lines since the last call."""
        lines = [json.loads(line_of(record)) for record in self.records]
        self.records.clear()
        return lines


LOST = "queen_decision_log_dropped_total"


def test_refusals_of_a_minute_have_one_record_and_a_count(
    bundle: Bundle, metrics: InferenceMetrics, counted: Counted
) -> None:
    """Of each account; a refused request that changed a ledger has its own. None is lost."""
    minutes = Minutes(bundle, metrics, 1 << 20)
    for _ in range(100):
        minutes.ask(ALICE, assessed_of([X] * 50), OVER_BUDGET)
    minutes.ask(ALICE, assessed_of([R, X], cqs_after=[0.5, 0.0]), OVER_BUDGET)
    minutes.ask(GROUPED, assessed_of([X]), OVER_BUDGET)
    assert [line["rows"] for line in minutes.lines()] == [50, 2, 1]
    minutes.now = 120.0
    minutes.ask(ALICE, assessed_of([X] * 3), OVER_BUDGET)
    count, again = minutes.lines()
    assert (count["msg"], count["account_hash"]) == ("left_out", ALICE.hash)
    assert (count["requests"], count["rows"], count["over_budget"]) == (99, 4950, 99)
    assert count["since"] == "1970-01-01T00:01:00+00:00"
    assert again["rows"] == 3
    minutes.log.close()
    assert minutes.lines() == []
    assert counted(LOST, decision="reverse") == 0


def test_an_owner_cannot_drive_others_out_of_the_log(
    bundle: Bundle, metrics: InferenceMetrics, counted: Counted
) -> None:
    """Repeats of flagged rows fill half of a minute at most; another owner has room left."""
    minutes = Minutes(bundle, metrics, 100_000)
    for _ in range(50):
        minutes.ask(ALICE, assessed_of([X] * 100))
    minutes.ask(GROUPED, assessed_of([P] * 100, group_budgets=5))
    lines = minutes.lines()
    written = sum(len(json.dumps(line)) for line in lines[:-1])
    assert 20_000 < written < 60_000
    assert lines[-1]["account_hash"] == GROUPED.hash
    assert counted(LOST, decision="reverse") == 51 - len(lines)
    minutes.log.close()
    (count,) = minutes.lines()
    assert (count["requests"], count["over_budget"]) == (51 - len(lines), 0)
    minutes.now = 120.0
    minutes.ask(ALICE, assessed_of([X] * 100))
    assert [line["rows"] for line in minutes.lines()] == [100]


@pytest.mark.parametrize("ledger", ["", "group_", "observed_", "observed_group_"])
def test_what_changed_a_ledger_is_written_beyond_the_share(
    bundle: Bundle, metrics: InferenceMetrics, counted: Counted, ledger: str
) -> None:
    """The other queries of the request are counted, so a replay finds no gap."""
    minutes = Minutes(bundle, metrics, 1)
    minutes.ask(ALICE, assessed_of([P]))
    after = np.zeros(100)
    after[[7, 40]] = 0.5
    minutes.ask(ALICE, assessed_of([X] * 100, **{f"{ledger}cqs_after": after}))
    minutes.ask(ALICE, assessed_of([R], cqs_after=[0.5]))
    _, partial, whole = minutes.lines()
    assert (partial["rows"], whole["rows"]) == (2, 1)
    assert partial["class"] == [7 % 3, 40 % 3]
    assert partial["d"] == np.linspace(0.1, 0.9, 100)[[7, 40]].tolist()
    minutes.log.close()
    (count,) = minutes.lines()
    assert (count["requests"], count["rows"]) == (1, 98)
    assert counted(LOST, decision="reverse") == 0


def test_requests_without_a_verdict_have_a_share_as_well(
    bundle: Bundle, metrics: InferenceMetrics, counted: Counted
) -> None:
    """An outage is no way to fill the log."""
    minutes = Minutes(bundle, metrics, 10_000)
    for _ in range(100):
        pending = spans_of([3])[0][0]
        minutes.log.record_unassessed([pending], {pending: "deny"}, DependencyUnavailable("gone"))
    written = len(minutes.lines())
    assert 4 < written < 10
    assert counted(LOST, decision="unassessed") == 100 - written
    minutes.log.close()
    assert [line["rows"] for line in minutes.lines()] == [3 * (100 - written)]


async def test_records_are_made_a_while_after_the_answers(bundle: Bundle) -> None:
    """In order, with their outcomes, and all that a while brought together."""
    records: list[DecisionRecord] = []
    is_written = asyncio.Event()

    def write(record: DecisionRecord) -> None:
        records.append(record)
        if len(records) == 3:
            is_written.set()

    late, clock = LateRecorder(DecisionLog("all", bundle, write)), asyncio.get_running_loop().time
    began = clock()
    spans = spans_of([2, 1])
    late.record(spans, np.zeros(3, np.int64), assessed_of([X, P, R]), {spans[0][0]: OVER_BUDGET})
    (unassessed, _), *_ = spans_of([3])
    late.record_unassessed([unassessed], {unassessed: "deny"}, DependencyUnavailable("away"))
    assert records == []
    await is_written.wait()
    assert clock() - began >= LATE_SECONDS[0]
    refused, recorded, denied = (record.fields() for record in records)
    assert (refused["rows"], refused["refused"]) == (2, OVER_BUDGET)
    assert (recorded["rows"], recorded["verdict"]) == (1, ["RECORD"])
    assert (denied["rows"], denied["failure_mode"], denied["problem"]) == (3, "deny", "away")


async def test_decisions_that_wait_hold_no_inputs_and_are_written_at_the_end(
    bundle: Bundle,
) -> None:
    """Inputs are the most of a request; the end of a service waits for no timer."""
    records: list[DecisionRecord] = []
    late = LateRecorder(DecisionLog("all", bundle, records.append))
    spans = spans_of([5])
    inputs = weakref.ref(spans[0][0].inputs)
    late.record(spans, np.zeros(5, np.int64), assessed_of([P] * 5), {})
    del spans
    assert inputs() is None
    late.flush()
    late.flush()
    assert [record.rows for record in records] == [5]
