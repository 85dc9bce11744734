"""The front door without a transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from queen_inference.batching import Limits, MicroBatcher
from queen_inference.door import LABEL, PROBABILITIES, FrontDoor, ServedModel
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, Rest
from queen_inference.protectee import Protectee

from queen.bundle import Bundle, InputRange
from queen.errors import ModelNotFound, OutOfRange, Overloaded, Unauthenticated
from queen.method.contracts import Profile
from queen.serving.accounts import AccountEntry, AccountsFile
from queen.serving.auth import Account, Keyring, key_digest
from queen.serving.lasting.tasks import Lasting
from queen.serving.metrics import Metrics
from tests.bundles import SmallBundle

LIMITS = Limits(max_batch_rows=8, queue_rows=4, account_rows=4, batches_in_flight=1)


async def swap_first_two(batch: MicroBatch) -> list[Rest]:
    """Answer with the probabilities of two classes exchanged."""
    for request, rows in batch:
        request.resolve(batch.outputs.probabilities[rows][:, [1, 0, 2, 3]])
    return []


@pytest.fixture
async def door(
    bundle: Bundle, protectee: Protectee, metrics: InferenceMetrics
) -> AsyncIterator[FrontDoor]:
    """A door to the small model, for one account."""
    entry = AccountEntry(id="alice", key_sha256=key_digest("key"))
    keyring = Keyring(AccountsFile(accounts=[entry]), Profile.SAFE)
    with ThreadPoolExecutor(1) as executor:
        batcher = MicroBatcher(protectee, executor, swap_first_two, LIMITS, metrics)
        batcher.start(Lasting())
        yield FrontDoor(ServedModel.of(bundle.manifest), keyring, batcher, 8)
        await batcher.close()


async def test_a_key_opens_the_door(door: FrontDoor) -> None:
    """To its account, under the default profile; no other key does."""
    account = door.authenticate([("authorization", "Bearer key")])
    assert (account.account_id, account.profile) == ("alice", Profile.SAFE)
    for metadata in (None, [("authorization", "Bearer other")]):
        with pytest.raises(Unauthenticated):
            door.authenticate(metadata)


async def test_one_model_is_served(door: FrontDoor, small: SmallBundle) -> None:
    """By its name, and by its one version or none."""
    version = small.manifest.digest[:12]
    assert door.serves("small", "")
    assert door.serves("small", version)
    assert not door.serves("small", "2")
    assert not door.serves("other", version)
    door.require_model("small", version)
    with pytest.raises(ModelNotFound, match="expected model 'small', got 'other'"):
        door.require_model("other", "")
    with pytest.raises(ModelNotFound, match=f"expected version '{version}' of model 'small'"):
        door.require_model("small", "2")


async def test_the_model_is_described_as_its_bundle_says(
    door: FrontDoor, small: SmallBundle
) -> None:
    """Its signature, and the names of its classes."""
    model = door.model
    assert model.input == small.manifest.input
    assert [(output.name, output.shape) for output in model.outputs] == [
        (PROBABILITIES, [-1, 4]),
        (LABEL, [-1]),
    ]
    assert model.class_names == small.manifest.class_names


async def test_outputs_are_given_by_name(
    door: FrontDoor, small: SmallBundle, protectee: Protectee, account: Account
) -> None:
    """The label is that of the answer, even where the model's own label is another."""
    rows = small.inputs[:3]
    outputs = await door.infer(account, rows, [LABEL, PROBABILITIES], None, "")
    expected = protectee.run(rows).probabilities[:, [1, 0, 2, 3]]
    assert list(outputs) == [LABEL, PROBABILITIES]
    np.testing.assert_array_equal(outputs[PROBABILITIES], expected)
    np.testing.assert_array_equal(outputs[LABEL], expected.argmax(axis=1))
    assert list(await door.infer(account, rows, [PROBABILITIES], 60.0, "x")) == [PROBABILITIES]


async def test_too_many_queries_are_refused(
    door: FrontDoor, small: SmallBundle, account: Account
) -> None:
    """The batcher's bounds reach the caller."""
    with pytest.raises(Overloaded):
        await door.infer(account, small.inputs[:5], [LABEL], None, "")


async def test_an_input_beyond_the_range_is_refused_before_anything_runs(
    door: FrontDoor, small: SmallBundle, registry: Metrics
) -> None:
    """The whole request, by one number; a request inside is answered."""
    largest = float(np.abs(small.inputs[:3]).max())
    bounds = InputRange(low=[-largest], high=[largest], tolerance=0.0)
    door.model = replace(door.model, input_range=bounds)
    account = Account("alice", Profile.OBSERVE, "hash-of-alice")
    beyond = small.inputs[:3].copy()
    beyond[1, 0] = largest + 1
    with pytest.raises(OutOfRange, match="input 'x': expected numbers from"):
        await door.infer(account, beyond, [LABEL], None, "")
    assert registry.registry.get_sample_value("queen_batch_rows_sum") == 0
    answer = await door.infer(account, small.inputs[:3], [LABEL], None, "")
    assert len(answer[LABEL]) == 3
