"""A micro-batch is sliced as a whole."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from queen_inference.micro_batch import MicroBatch, Pending, answering_in_time
from queen_inference.protectee import Protectee

from queen.method.contracts import Profile
from queen.serving.auth import Account
from tests.bundles import SmallBundle
from tests.unit.inference.batches import account_of, batch_of, pending_of

ANSWERS = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], np.float32)
PAPER, SAFE, OBSERVE = (account_of(name) for name in (Profile.PAPER, Profile.SAFE, Profile.OBSERVE))


@pytest.fixture
async def batch(small: SmallBundle, protectee: Protectee) -> MicroBatch:
    """Three requests of 2, 3 and 1 queries under three profiles."""
    return batch_of(small, protectee, [PAPER, SAFE, OBSERVE], [2, 3, 1])


async def test_each_request_comes_with_its_rows(batch: MicroBatch) -> None:
    """In their order, and labels are those of the logits."""
    assert [rows for _, rows in batch] == [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert [request for request, _ in batch] == list(batch.requests)
    assert len(batch) == 6
    np.testing.assert_array_equal(batch.labels, batch.outputs.logits.argmax(axis=1))


async def test_values_of_requests_are_spread_over_their_rows(batch: MicroBatch) -> None:
    """Of the type that is asked for, also where there is no request."""
    assert batch.by_row([7, 8, 9], np.uint8).tolist() == [7, 7, 8, 8, 8, 9]
    nothing = MicroBatch([], batch.inputs[:0], batch.outputs.part(slice(0, 0)), batch.labels[:0])
    assert nothing.by_row([], np.bool_).dtype == np.bool_


async def test_rows_are_chosen_by_profile(batch: MicroBatch) -> None:
    """By one profile, or by several."""
    assert batch.rows_under(Profile.SAFE).tolist() == [False] * 2 + [True] * 3 + [False]
    assert batch.rows_under(Profile.PAPER, Profile.OBSERVE).tolist() == [
        *[True] * 2,
        *[False] * 3,
        True,
    ]


async def test_a_part_holds_the_same_rows_of_everything(batch: MicroBatch) -> None:
    """Requests, inputs, outputs and labels belong together behind a slice as before it."""
    part = batch.part([True, False, True])
    rows = [0, 1, 5]
    assert list(part.requests) == [batch.requests[0], batch.requests[2]]
    assert [rows for _, rows in part] == [slice(0, 2), slice(2, 3)]
    np.testing.assert_array_equal(part.inputs, batch.inputs[rows])
    np.testing.assert_array_equal(part.labels, batch.labels[rows])
    for array, whole in zip(part.outputs.arrays(), batch.outputs.arrays(), strict=True):
        np.testing.assert_array_equal(array, whole[rows])


async def test_a_request_is_answered_once(account: Account) -> None:
    """An answer, an error or a caller who leaves: the first of them stays."""
    answers = np.full((1, 3), 0.5, np.float32)
    answered, failed, gone = (pending_of(account, np.zeros((1, 2))) for _ in range(3))
    answered.resolve(answers)
    failed.fail(ValueError("first"))
    gone.answers.cancel()
    for request in (answered, failed, gone):
        request.resolve(0 * answers)
        request.fail(ValueError("second"))
    assert await answered.answers is answers
    with pytest.raises(ValueError, match="first"):
        await failed.answers
    with pytest.raises(asyncio.CancelledError):
        await gone.answers


async def test_requests_that_cannot_wait_are_answered_before_their_deadline(
    account: Account,
) -> None:
    """Of three requests the hurried one is answered; gone and patient ones are left alone."""
    now = asyncio.get_running_loop().time()
    rows = np.zeros((2, 1))
    hurried, gone, patient = (pending_of(account, rows, now + wait) for wait in (0.2, 0.2, 60.0))
    gone.answers.cancel()
    spans = [(request, slice(0, 2)) for request in (hurried, gone, patient)]

    def answer(pending: Pending, rows: slice) -> str:
        assert asyncio.get_running_loop().time() < pending.expires
        pending.resolve(ANSWERS[rows])
        return "protect"

    late: dict[Pending, str] = {}
    with answering_in_time(spans, 30.0, 0.1, answer, late):
        await hurried.answers
    assert late == {hurried: "protect"}
    assert not patient.answers.done()


async def test_no_request_is_answered_once_the_peer_has(account: Account) -> None:
    """The timers end with the waiting."""
    now = asyncio.get_running_loop().time()
    hurried = pending_of(account, np.zeros((2, 1)), now + 0.02)

    def answer(pending: Pending, rows: slice) -> str:
        raise AssertionError("answered after the peer")

    late: dict[Pending, str] = {}
    with answering_in_time([(hurried, slice(0, 2))], 30.0, 0.01, answer, late):
        pass
    await asyncio.sleep(0.05)
    assert late == {}
    assert not hurried.answers.done()
