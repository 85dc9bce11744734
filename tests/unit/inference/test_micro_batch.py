"""A micro-batch is sliced as a whole."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from queen_inference.micro_batch import MicroBatch
from queen_inference.protectee import Protectee

from queen.method.contracts import Profile
from queen.serving.auth import Account
from tests.bundles import SmallBundle
from tests.unit.inference.batches import account_of, batch_of, pending_of

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
