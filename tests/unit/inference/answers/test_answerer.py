"""The fate of the requests of a micro-batch, by verdict, by failure and by deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import pytest
from queen_inference.answers.answerer import Answerer, Clocks, Policy
from queen_inference.answers.fallback import protect_answers
from queen_inference.answers.hold import Hold
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Pending, Span
from queen_inference.peers.perturber import PerturberClient
from queen_inference.peers.sensitivity import Assessed
from queen_inference.protectee import Protectee
from queen_inference.settings import FailureMode, HeldAnswers
from queen_inference.wiring import make_answerer

from queen.bundle import Bundle
from queen.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    LedgerCorrupt,
    LedgerFull,
    OverBudget,
    Overloaded,
    PeerOverloaded,
    PeerUnavailable,
    QueenError,
)
from queen.failures import Failure
from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from tests.bundles import SmallBundle
from tests.unit.inference.batches import account_of, batch_of
from tests.unit.inference.conftest import Counted
from tests.unit.inference.peers.stand_ins import SECRET, ToldPerturber, ToldSensitivity

PAPER, SAFE, OBSERVE, REFUSE = (
    account_of(name) for name in (Profile.PAPER, Profile.SAFE, Profile.OBSERVE, Profile.REFUSE)
)
POLICY = Policy(
    failure_mode="protect",
    assess_timeout_seconds=30.0,
    assess_patience_seconds=10.0,
    reverse_timeout_seconds=30.0,
    deadline_margin_seconds=0.0,
)
REVERSED = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
SOON = 0.05
"""Seconds until a deadline that ends before a peer answers."""


@dataclass
class Decisions:
    """Keeps the records: of each request its harshest verdict, and its outcome."""

    recorded: dict[Pending, tuple[str, str]] = field(default_factory=dict)

    def record(
        self,
        spans: Sequence[Span],
        _labels: np.ndarray,
        assessed: Assessed,
        outcomes: Mapping[Pending, str],
    ) -> None:
        """Keep them; no request comes twice."""
        for pending, rows in spans:
            assert pending not in self.recorded
            verdict = Verdict(int(assessed.verdicts[rows].max())).name
            self.recorded[pending] = (verdict, outcomes.get(pending, ""))

    def record_unassessed(
        self,
        requests: Sequence[Pending],
        outcomes: Mapping[Pending, str],
        _error: QueenError,
    ) -> None:
        """Keep them; no request comes twice."""
        for pending in requests:
            assert pending not in self.recorded
            self.recorded[pending] = ("", outcomes.get(pending, ""))


@dataclass
class Stage:
    """An answerer between two stand-ins, with a clock that stands still."""

    bundle: Bundle
    metrics: InferenceMetrics
    sensitivity: ToldSensitivity
    perturber: ToldPerturber
    decisions: Decisions = field(default_factory=Decisions)
    seconds: float = 0.0
    hold: Hold = field(default_factory=Hold)

    def answerer(self, policy: Policy = POLICY) -> Answerer:
        """The answerer."""
        clients = (self.sensitivity, PerturberClient(self.perturber, "digest"))
        return make_answerer(
            self.bundle,
            policy,
            clients,
            self.decisions,
            self.metrics,
            Clocks(lambda: self.seconds, self.hold),
        )

    async def finish(self, batch: MicroBatch, policy: Policy = POLICY) -> None:
        """Answer a batch, its rest as well."""
        rests = await self.answerer(policy).finish(batch)
        assert not any(request.answers.done() for rest in rests for request in rest.requests)
        await asyncio.gather(*(rest.work for rest in rests))

    def outcomes(self, batch: MicroBatch) -> list[tuple[str, str]]:
        """The records of a batch."""
        return [self.decisions.recorded[request] for request in batch.requests]


@pytest.fixture
async def stage(bundle: Bundle, metrics: InferenceMetrics) -> AsyncIterator[Stage]:
    """Both peers serve, and have nothing against anyone."""
    perturber = ToldPerturber(REVERSED)
    yield Stage(bundle, metrics, ToldSensitivity(), perturber)
    await perturber.close()


def soon() -> float:
    """A deadline that comes before the peers answer."""
    return asyncio.get_running_loop().time() + SOON


async def test_requests_without_a_flagged_row_are_answered_at_once(
    small: SmallBundle, protectee: Protectee, stage: Stage, counted: Counted
) -> None:
    """Labels are kept, `observe` gets the model's own answer, and nothing goes to the perturber."""
    batch = batch_of(small, protectee, [PAPER, SAFE, OBSERVE], [2, 1, 2])
    stage.sensitivity.verdicts = {1: Verdict.RECORD, 2: Verdict.REVERSE, 4: Verdict.REVERSE}
    assert not await stage.answerer().finish(batch)
    answers = [request.answers.result() for request in batch.requests]
    for (_, rows), answer in zip(batch, answers, strict=True):
        np.testing.assert_array_equal(answer.argmax(axis=1), batch.labels[rows])
    np.testing.assert_array_equal(answers[2], batch.outputs.probabilities[3:5])
    assert stage.outcomes(batch) == [("RECORD", ""), ("REVERSE", ""), ("REVERSE", "")]
    assert stage.perturber.requests == []
    decisions = [
        counted("queen_decisions_total", decision=name)
        for name in ("preserve", "record", "reverse")
    ]
    assert decisions == [2, 1, 2]


async def test_each_owner_waits_for_its_own_flagged_rows(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Every owner's rows are a call of their own: no owner waits for another's."""
    accounts = [account_of(Profile.PAPER, name) for name in ("alice", "bob", "alice")]
    batch = batch_of(small, protectee, accounts, [3, 2, 1])
    stage.sensitivity.verdicts = dict.fromkeys((0, 2, 3, 5), Verdict.REVERSE)
    rests = await stage.answerer().finish(batch)
    assert [rest.requests for rest in rests] == [
        [batch.requests[0], batch.requests[2]],
        [batch.requests[1]],
    ]
    await rests[1].work
    assert [request.answers.done() for request in batch.requests] == [False, True, False]
    await rests[0].work
    sent = [np.frombuffer(asked.profiles, "u1").size for asked in stage.perturber.requests]
    assert sent == [1, 3]
    for request, rows in zip(batch.requests, ([0, 2], [0], [0]), strict=True):
        np.testing.assert_array_equal(request.answers.result()[rows], [REVERSED] * len(rows))


async def test_flagged_rows_have_a_bound_by_owner(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Who fills it is refused and told to come back; others get in, and the bound frees up."""
    accounts = [account_of(Profile.PAPER, name) for name in ("alice", "alice", "bob")]
    answerer = stage.answerer(replace(POLICY, flagged_rows=8))
    stage.sensitivity.verdicts = dict.fromkeys(range(9), Verdict.REVERSE)
    batch = batch_of(small, protectee, accounts, [3, 2, 2])
    rests = await answerer.finish(batch)
    assert [rest.requests for rest in rests] == [[batch.requests[0]], [batch.requests[2]]]
    with pytest.raises(Overloaded):
        await batch.requests[1].answers
    assert stage.decisions.recorded[batch.requests[1]] == ("REVERSE", "overloaded")
    await asyncio.gather(*(rest.work for rest in rests))
    (rest,) = await answerer.finish(batch_of(small, protectee, accounts[:1], [4]))
    await rest.work


async def test_flagged_rows_are_answered_by_the_perturber(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Requests with one wait for it, and their other rows are answered as ever."""
    batch = batch_of(small, protectee, [PAPER, PAPER], [3, 2])
    stage.sensitivity.verdicts = {1: Verdict.REVERSE}
    (rest,) = await stage.answerer().finish(batch)
    assert rest.requests == [batch.requests[0]]
    assert batch.requests[1].answers.done()
    await rest.work
    answers = batch.requests[0].answers.result()
    np.testing.assert_array_equal(answers[1], REVERSED)
    np.testing.assert_array_equal(answers[[0, 2]].argmax(axis=1), batch.labels[[0, 2]])
    (request,) = stage.perturber.requests
    assert np.frombuffer(request.probabilities, "<f4").tolist() == (
        batch.outputs.probabilities[1].tolist()
    )
    assert stage.outcomes(batch) == [("REVERSE", ""), ("PRESERVE", "")]


async def test_without_any_verdict_the_failure_mode_decides(
    small: SmallBundle, protectee: Protectee, stage: Stage, counted: Counted
) -> None:
    """Except under `observe`, whose answers need no verdict."""
    batch = batch_of(small, protectee, [PAPER, OBSERVE], [2, 1])
    stage.sensitivity.problem = PeerUnavailable("gone")
    await stage.finish(batch)
    first, second = (request.answers.result() for request in batch.requests)
    np.testing.assert_array_equal(first, protect_answers(batch.labels[:2], 4))
    np.testing.assert_array_equal(second, batch.outputs.probabilities[2:])
    assert stage.outcomes(batch) == [("", "protect"), ("", "")]
    assert counted("queen_decisions_total", decision="unassessed") == 3


async def test_an_overloaded_sensitivity_refuses(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Callers can overload it, so it must not bring them the failure mode's answers."""
    batch = batch_of(small, protectee, [PAPER, OBSERVE], [2, 1])
    stage.sensitivity.problem = PeerOverloaded("full")
    await stage.finish(batch, replace(POLICY, failure_mode="allow"))
    with pytest.raises(Overloaded):
        await batch.requests[0].answers
    assert batch.requests[1].answers.done()
    assert stage.outcomes(batch) == [("", "overloaded"), ("", "")]


async def test_requests_without_a_verdict_fail_alone(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Where one replica of several gave none, the others' rows are answered by their verdicts."""
    batch = batch_of(small, protectee, [PAPER, SAFE, PAPER], [2, 2, 1])
    stage.sensitivity.problem, stage.sensitivity.without = PeerUnavailable("gone"), [2, 3]
    stage.sensitivity.verdicts = {4: Verdict.REVERSE}
    await stage.finish(batch)
    answers = [request.answers.result() for request in batch.requests]
    np.testing.assert_array_equal(answers[1], protect_answers(batch.labels[2:4], 4))
    np.testing.assert_array_equal(answers[2][0], REVERSED)
    assert stage.outcomes(batch) == [("PRESERVE", ""), ("", "protect"), ("REVERSE", "")]


@pytest.mark.parametrize(
    ("heard_seconds", "outcome"), [(0.0, "hurried"), (60.0, "protect")], ids=["hurry", "patience"]
)
async def test_a_deadline_before_the_verdict(
    small: SmallBundle, protectee: Protectee, stage: Stage, heard_seconds: float, outcome: str
) -> None:
    """The failure mode answers only if sensitivity has had the patience, `observe` always.

    The verdict comes all the same, and is recorded with the outcome; the others have time.
    """
    batch = batch_of(small, protectee, [PAPER, OBSERVE, PAPER], [2, 1, 1], [soon(), soon(), np.inf])
    stage.sensitivity.verdicts = {0: Verdict.RECORD}
    stage.sensitivity.gate.clear()
    finishing = asyncio.create_task(stage.finish(batch))
    await stage.sensitivity.asked.wait()
    stage.seconds += heard_seconds
    await asyncio.wait([request.answers for request in batch.requests[:2]])
    assert not batch.requests[2].answers.done()
    stage.sensitivity.gate.set()
    await finishing
    if outcome == "hurried":
        with pytest.raises(DeadlineExceeded):
            await batch.requests[0].answers
    else:
        answers = batch.requests[0].answers.result()
        np.testing.assert_array_equal(answers, protect_answers(batch.labels[:2], 4))
    assert batch.requests[1].answers.done()
    assert stage.outcomes(batch) == [("RECORD", outcome), ("PRESERVE", ""), ("PRESERVE", "")]


async def test_a_deadline_before_the_reversed_answer(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """The request is refused, for no deadline of its own brings it a label; others wait on."""
    batch = batch_of(small, protectee, [PAPER, PAPER], [1, 1], [soon(), np.inf])
    stage.sensitivity.verdicts = dict.fromkeys(range(2), Verdict.REVERSE)
    stage.perturber.gate.clear()
    finishing = asyncio.create_task(stage.finish(batch))
    await stage.perturber.asked.wait()
    with pytest.raises(DeadlineExceeded):
        await batch.requests[0].answers
    stage.perturber.gate.set()
    await finishing
    np.testing.assert_array_equal(batch.requests[1].answers.result()[0], REVERSED)
    assert stage.outcomes(batch) == [("REVERSE", "hurried"), ("REVERSE", "")]


async def test_without_the_perturber_flagged_rows_are_protected(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """And the rows beside them keep the answers that they have."""
    batch = batch_of(small, protectee, [PAPER], [3])
    stage.sensitivity.verdicts = {1: Verdict.REVERSE}
    stage.perturber.problem = PeerUnavailable("gone")
    await stage.finish(batch)
    answers = batch.requests[0].answers.result()
    np.testing.assert_array_equal(answers[1:2], protect_answers(batch.labels[1:2], 4))
    assert not np.array_equal(answers[0], protect_answers(batch.labels[:1], 4)[0])
    assert stage.outcomes(batch) == [("REVERSE", "protect")]


async def test_a_late_perturber_refuses(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """It is there, and the size of the request may have made it late."""
    batch = batch_of(small, protectee, [PAPER], [2])
    stage.sensitivity.verdicts = {1: Verdict.REVERSE}
    stage.perturber.problem = DependencyUnavailable("late")
    await stage.finish(batch)
    with pytest.raises(Overloaded):
        await batch.requests[0].answers
    assert stage.outcomes(batch) == [("REVERSE", "overloaded")]


async def test_a_request_under_refuse_with_a_flagged_row_is_refused_whole(
    small: SmallBundle, protectee: Protectee, stage: Stage, counted: Counted
) -> None:
    """Its repeated rows as well, and nothing goes to the perturber; other requests are answered."""
    batch = batch_of(small, protectee, [REFUSE, REFUSE, PAPER], [3, 2, 1])
    stage.sensitivity.verdicts = {1: Verdict.REVERSE, 3: Verdict.RECORD}
    assert not await stage.answerer().finish(batch)
    with pytest.raises(OverBudget, match="ask the operator"):
        await batch.requests[0].answers
    for request, rows in list(batch)[1:]:
        labels = request.answers.result().argmax(axis=1)
        np.testing.assert_array_equal(labels, batch.labels[rows])
    assert stage.perturber.requests == []
    assert stage.outcomes(batch) == [
        ("REVERSE", "over_budget"),
        ("RECORD", ""),
        ("PRESERVE", ""),
    ]
    assert counted("queen_dropped_requests_total", reason="over_budget") == 1


async def test_a_refusal_beside_flagged_rows_of_another_profile(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """The perturber sees the rows of the other profile alone."""
    batch = batch_of(small, protectee, [REFUSE, PAPER], [2, 2])
    stage.sensitivity.verdicts = dict.fromkeys(range(4), Verdict.REVERSE)
    await stage.finish(batch)
    with pytest.raises(OverBudget):
        await batch.requests[0].answers
    np.testing.assert_array_equal(batch.requests[1].answers.result(), [REVERSED, REVERSED])
    (request,) = stage.perturber.requests
    assert len(request.profiles) == 2
    assert stage.outcomes(batch) == [("REVERSE", "over_budget"), ("REVERSE", "")]


@pytest.mark.parametrize("mode", ["protect", "allow", "deny"])
async def test_no_failure_mode_changes_a_label_under_refuse(
    small: SmallBundle, protectee: Protectee, stage: Stage, mode: FailureMode
) -> None:
    """Without a verdict the label is the protectee's, or there is no answer at all.

    Of an account without a verdict so far nobody knows whether it is within its budget.
    """
    batch = batch_of(small, protectee, [REFUSE], [3])
    stage.sensitivity.problem = PeerUnavailable("gone")
    await stage.finish(batch, replace(POLICY, failure_mode=mode))
    if mode != "allow":
        with pytest.raises(DependencyUnavailable):
            await batch.requests[0].answers
    else:
        answers = batch.requests[0].answers.result()
        np.testing.assert_array_equal(answers.argmax(axis=1), batch.labels)
    assert stage.outcomes(batch) == [("", "allow" if mode == "allow" else "deny")]


async def test_a_verdict_that_comes_too_late_brings_no_label_under_refuse(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """The caller's deadline ends before the first verdict on its account."""
    batch = batch_of(small, protectee, [REFUSE], [2], [soon()])
    stage.sensitivity.verdicts = {0: Verdict.REVERSE}
    stage.sensitivity.gate.clear()
    finishing = asyncio.create_task(stage.finish(batch))
    await stage.sensitivity.asked.wait()
    stage.seconds += 60.0
    with pytest.raises(DependencyUnavailable):
        await batch.requests[0].answers
    stage.sensitivity.gate.set()
    await finishing
    assert stage.outcomes(batch) == [("REVERSE", "deny")]


@pytest.mark.parametrize("mode", ["protect", "deny", "allow"])
async def test_what_cannot_be_recorded_is_refused_in_every_failure_mode(
    small: SmallBundle, protectee: Protectee, stage: Stage, counted: Counted, mode: FailureMode
) -> None:
    """A label that is not charged would be had for a full disk; all else is answered as usual."""
    batch = batch_of(small, protectee, [PAPER, PAPER, OBSERVE, SAFE], [3, 2, 1, 2])
    stage.sensitivity.failures = dict.fromkeys((1, 5, 7), Failure.LEDGER_FULL)
    stage.sensitivity.verdicts = {3: Verdict.RECORD}
    await stage.finish(batch, replace(POLICY, failure_mode=mode))
    for position in (0, 3):
        with pytest.raises(LedgerFull, match="make room"):
            await batch.requests[position].answers
    labels = batch.requests[1].answers.result().argmax(axis=1)
    np.testing.assert_array_equal(labels, batch.labels[3:5])
    observed = batch.requests[2].answers.result()
    np.testing.assert_array_equal(observed, batch.outputs.probabilities[5:6])
    full = ("", "ledger_full")
    assert stage.outcomes(batch) == [full, ("RECORD", ""), ("", ""), full]
    assert counted("queen_dropped_requests_total", reason="ledger_full") == 2
    assert counted("queen_decisions_total", decision="unassessed") == 6
    assert counted("queen_failure_mode_total", mode=mode) == 0


async def test_a_damaged_ledger_refuses_its_owner_and_an_absent_store_its_own_requests(
    small: SmallBundle, protectee: Protectee, stage: Stage, counted: Counted
) -> None:
    """Each request by its gravest failure; a store that is away is the failure mode's."""
    batch = batch_of(small, protectee, [PAPER, PAPER, PAPER], [2, 2, 2])
    stage.sensitivity.failures = {
        0: Failure.LEDGER_FULL,
        1: Failure.LEDGER_DAMAGED,
        3: Failure.STORE_AWAY,
    }
    await stage.finish(batch)
    with pytest.raises(LedgerCorrupt, match="restore or erase"):
        await batch.requests[0].answers
    answers = batch.requests[1].answers.result()
    np.testing.assert_array_equal(answers, protect_answers(batch.labels[2:4], 4))
    assert stage.outcomes(batch) == [("", "ledger_damaged"), ("", "protect"), ("PRESERVE", "")]
    assert counted("queen_failure_mode_total", mode="protect") == 1


@pytest.mark.parametrize(("held", "asked"), [("none", 1), ("over", 4), ("reversed", 4)])
async def test_the_perturber_answers_every_row_of_an_owner_that_is_over(
    small: SmallBundle, protectee: Protectee, stage: Stage, held: HeldAnswers, asked: int
) -> None:
    """Its unflagged answers are dropped: they come when flagged ones do, and are what they were."""
    batch = batch_of(
        small, protectee, [PAPER, PAPER, REFUSE, account_of(PAPER.profile, "b")], [2] * 4
    )
    stage.sensitivity.verdicts = {1: Verdict.REVERSE}
    stage.sensitivity.over = [0, 1, 2, 3, 4, 5]
    await stage.finish(batch, replace(POLICY, held_answers=held))
    (request,) = stage.perturber.requests
    assert np.frombuffer(request.profiles, "u1").size == asked
    assert np.frombuffer(request.secrets, "<u4").tolist() == [SECRET] * asked
    answers = np.concatenate([request.answers.result() for request in batch.requests])
    np.testing.assert_array_equal(answers[1], REVERSED)
    others = np.delete(np.arange(8), 1)
    np.testing.assert_array_equal(answers[others].argmax(axis=1), batch.labels[others])
    assert stage.outcomes(batch)[:2] == [("REVERSE", ""), ("PRESERVE", "")]


async def test_an_owner_that_is_over_is_refused_alike_where_there_is_no_room(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """A thief who has filled the perturber must not learn by it which queries are flagged."""
    batch = batch_of(small, protectee, [PAPER, PAPER, PAPER], [2, 2, 2])
    stage.sensitivity.verdicts, stage.sensitivity.over = {0: Verdict.REVERSE}, list(range(6))
    await stage.finish(batch, replace(POLICY, held_answers="over", flagged_rows=8))
    assert [request.answers.exception() is None for request in batch.requests] == [
        True,
        True,
        False,
    ]
    with pytest.raises(Overloaded):
        batch.requests[2].answers.result()
    stage.perturber.problem = PeerOverloaded("full")
    late = batch_of(small, protectee, [PAPER, PAPER], [2, 2])
    stage.sensitivity.over = [0, 1, 2, 3]
    await stage.finish(late, replace(POLICY, held_answers="over"))
    for request in late.requests:
        with pytest.raises(Overloaded):
            request.answers.result()


async def test_unflagged_rows_need_no_perturber(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Without it the flagged requests of an owner that is over get protect answers, no others."""
    batch = batch_of(small, protectee, [PAPER, PAPER], [2, 2])
    stage.sensitivity.verdicts, stage.sensitivity.over = {1: Verdict.REVERSE}, [0, 1, 2, 3]
    stage.perturber.problem = PeerUnavailable("gone")
    await stage.finish(batch, replace(POLICY, held_answers="over"))
    flagged, unflagged = (request.answers.result() for request in batch.requests)
    np.testing.assert_array_equal(flagged[1], protect_answers(batch.labels[1:2], 4)[0])
    assert np.ptp(np.sort(unflagged, axis=1)[:, :-1], axis=1).min() > 0
    assert stage.outcomes(batch) == [("REVERSE", "protect"), ("PRESERVE", "")]


@pytest.mark.parametrize("held", ["reversed", "all"])
async def test_held_answers_leave_together(
    small: SmallBundle, protectee: Protectee, stage: Stage, held: HeldAnswers
) -> None:
    """No sooner than the hold after their requests, flagged or not; others leave at once."""
    policy = replace(POLICY, held_answers=held, hold_seconds=0.2)
    strict = [account_of(Profile.STRICT, name) for name in ("over", "within")]
    batch = batch_of(small, protectee, [*strict, REFUSE], [1, 1, 1])
    stage.sensitivity.verdicts, stage.sensitivity.over = {0: Verdict.REVERSE}, [0]
    clock = asyncio.get_running_loop().time
    left: dict[int, float] = {}
    for at, request in enumerate(batch.requests):
        request.answers.add_done_callback(lambda _, at=at: left.setdefault(at, clock()))
    with stage.hold.running():
        await stage.finish(batch, policy)
        assert [request.answers.done() for request in batch.requests][:2] == [False, False]
        assert batch.requests[2].answers.done() is (held == "reversed")
        await asyncio.gather(*(request.answers for request in batch.requests))
    for at, request in enumerate(batch.requests[:2]):
        # Both clocks count the same seconds; the hold adds none of its own.
        assert left[at] - clock() + perf_counter() - request.arrived >= 0.2
    np.testing.assert_array_equal(batch.requests[0].answers.result(), [REVERSED])


async def test_no_answer_is_held_past_its_deadline(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """It leaves a margin before it, like an answer that a peer is late with."""
    policy = replace(POLICY, held_answers="reversed", hold_seconds=1.0)
    batch = batch_of(small, protectee, [PAPER], [1], [soon()])
    with stage.hold.running():
        await stage.finish(batch, policy)
        await batch.requests[0].answers
        assert asyncio.get_running_loop().time() < batch.requests[0].expires + 0.5


async def test_an_answer_that_is_late_already_is_not_held(
    small: SmallBundle, protectee: Protectee, stage: Stage
) -> None:
    """Requests that have waited for their turn as long as that wait no longer."""
    batch = batch_of(small, protectee, [PAPER], [1])
    batch.requests[0].arrived -= 1.0
    with stage.hold.running():
        await stage.finish(batch, replace(POLICY, held_answers="all", hold_seconds=1.0))
        assert batch.requests[0].answers.done()
