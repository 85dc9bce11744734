"""Inputs beyond the range of the training data, end to end: three services over gRPC, SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio

from queen.bundle import InputRange, open_bundle
from queen.method.contracts import Profile
from queen.redteam.targets.in_process import OperatorChoice, open_in_process
from queen.redteam.targets.protectee import open_protectee
from tests.bundles import SmallBundle, make_bundle, with_input_range
from tests.integration.inference.door import Door, raw_request
from tests.integration.refusals import reason_of
from tests.integration.test_request_path import open_deployment

BOUND = 12.0
ACCOUNTS = {profile.value: f"profile: {profile.value}" for profile in Profile}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle that states the range of its inputs."""
    made = make_bundle(tmp_path_factory.mktemp("bundle") / "b")
    assert np.abs(made.inputs).max() < BOUND
    return with_input_range(made, InputRange(low=[-BOUND], high=[BOUND], tolerance=0.0))


@pytest.fixture(scope="module")
def beyond(small: SmallBundle) -> np.ndarray:
    """Four queries, the third of which is beyond the range."""
    rows = small.inputs[:4].copy()
    rows[2, 5] = BOUND + 1
    return rows


@pytest_asyncio.fixture
async def door(small: SmallBundle, tmp_path: Path) -> AsyncIterator[Door]:
    """A deployment with an account for each profile."""
    async with open_deployment(small, tmp_path, 6, **ACCOUNTS) as opened:
        yield opened


@pytest.mark.parametrize("raw", [True, False])
async def test_a_request_beyond_the_range_is_refused_and_charged_nothing(
    door: Door, small: SmallBundle, beyond: np.ndarray, tmp_path: Path, raw: bool
) -> None:
    """Under every profile, whole, in raw and in typed form; what is inside is answered."""
    request = raw_request(beyond)
    if not raw:
        del request.raw_input_contents[:]
        request.inputs[0].contents.fp32_contents.extend(beyond.ravel().tolist())
    for profile in Profile:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.client.send(request, profile.value)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(refused.value) == "OUT_OF_RANGE"
        assert "input 'x': expected numbers from -12 to 12" in str(refused.value.details())
    assert door.metric("queen_batch_rows_count") == 0
    with sqlite3.connect(tmp_path / "ledgers.sqlite") as state:
        kept = [line for line in state.iterdump() if line.startswith("INSERT")]
    assert not [line for line in kept if any(f"'{profile}'" in line for profile in Profile)]
    assert (await door.client.ask(small.inputs[:4], "refuse")).shape == (4, 4)


@pytest.mark.parametrize("profile", [Profile.REFUSE, Profile.STRICT])
def test_the_red_team_meets_the_same_refusal(
    small: SmallBundle, beyond: np.ndarray, profile: Profile
) -> None:
    """A query beyond the range has no answer and no verdict; its neighbors have theirs."""
    bundle = open_bundle(small.path)
    choice = OperatorChoice(profile, 6, b"secret of this test, thirty-two!")
    with open_in_process(bundle, choice, open_protectee(bundle)) as target:
        thief = target.open_account("thief")
        answers = thief.ask(beyond)
        assert np.isnan(thief.ask(beyond[2:3])).all()
        traffic = target.traffic
    assert np.isnan(answers).any(axis=1).tolist() == [False, False, True, False]
    assert traffic.is_reversed is not None
    assert not traffic.is_reversed.any()
    with open_in_process(bundle, choice, open_protectee(bundle)) as target:
        expected = target.open_account("thief").ask(beyond[[0, 1, 3]])
    np.testing.assert_array_equal(answers[[0, 1, 3]], expected)
