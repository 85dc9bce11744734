"""Flagged rows on their way to the perturber."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from queen_inference.peers.perturber import PERTURBER, FlaggedRows, PerturberClient

from queen.api.v1 import perturber_pb2
from queen.errors import DependencyUnavailable
from tests.unit.inference.peers.remembering import RememberingPeer


class EchoingPeer(RememberingPeer):
    """A peer that answers with the probabilities themselves, without some bytes."""

    def __init__(self, max_message_bytes: int = 1 << 20, missing: int = 0) -> None:
        super().__init__(PERTURBER, max_message_bytes)
        self._missing = missing

    def answer(self, request: Any) -> perturber_pb2.ReverseResponse:
        """The probabilities."""
        given = request.probabilities
        answers = given[: len(given) - self._missing]
        return perturber_pb2.ReverseResponse(probabilities=answers, secrets=request.secrets)


def flagged_of(count: int) -> FlaggedRows:
    """Rows of noise."""
    rng = np.random.default_rng(0)
    inputs, sketches, embeddings = (rng.normal(size=(count, width)) for width in (5, 3, 2))
    probabilities = rng.random((count, 4)).astype(np.float32)
    profiles = np.full(count, 2, np.uint8)
    secrets = np.arange(count, dtype=np.uint32)
    return FlaggedRows(profiles, inputs, probabilities, embeddings, sketches, 0.5, secrets)


async def answers_of(peer: RememberingPeer, flagged: FlaggedRows) -> np.ndarray:
    """Answers to flagged rows."""
    try:
        return await PerturberClient(peer, "digest").reverse(flagged, 1.0)
    finally:
        await peer.channel.close(None)


@pytest.mark.parametrize("max_message_bytes", [1 << 20, 300])
async def test_reverse_is_split_by_size_and_carries_sketches(max_message_bytes: int) -> None:
    """However many calls it needs, rows stay in order and each call states the distance."""
    peer, flagged = EchoingPeer(max_message_bytes), flagged_of(9)
    answers = await answers_of(peer, flagged)
    assert answers.tobytes() == flagged.probabilities.tobytes()
    sent = b"".join(request.sketches for request in peer.requests)
    assert sent == flagged.sketches.astype("<f4").tobytes()
    assert {request.balanced_l1 for request in peer.requests} == {0.5}
    assert (len(peer.requests) > 1) is (max_message_bytes == 300)


async def test_a_huge_number_stays_finite_on_the_way() -> None:
    """A row of FP64 beyond float32 must not get the rows beside it refused."""
    huge = np.array([[1e300, -1e300], [1.0, 2.0]])
    answers = np.full((2, 2), 0.5, np.float32)
    peer = EchoingPeer()
    profiles, secrets = np.full(2, 3, np.uint8), np.zeros(2, np.uint32)
    flagged = FlaggedRows(profiles, huge, answers, answers, huge, 0.5, secrets)
    with np.errstate(all="raise"):
        await answers_of(peer, flagged)
    (request,) = peer.requests
    for sent in (request.shadow_inputs, request.sketches):
        values = np.frombuffer(sent, "<f4").reshape(2, 2)
        assert np.isfinite(values).all()
        assert values[1].tolist() == [1.0, 2.0]


async def test_answers_of_another_size_are_no_answer() -> None:
    """As for every other tensor of a peer's."""
    wrong = r"ReverseResponse\.probabilities: expected 144 bytes, got 140"
    with pytest.raises(DependencyUnavailable, match=wrong):
        await answers_of(EchoingPeer(missing=4), flagged_of(9))


def test_parts_hold_each_row_once_and_never_none() -> None:
    """Also where a single row is larger than a message."""
    flagged = flagged_of(7)
    for largest_bytes, sizes in ((1e6, [7]), (150.0, [2, 2, 2, 1]), (1.0, [1] * 7)):
        parts = flagged.parts(largest_bytes)
        assert [len(part) for part in parts] == sizes
        joined = np.concatenate([part.embeddings for part in parts])
        np.testing.assert_array_equal(joined, flagged.embeddings)
        assert {part.balanced_l1 for part in parts} == {0.5}


async def test_an_answer_under_another_secret_is_no_answer() -> None:
    """One query would get two answers; 0 leaves the choice to the perturber."""

    class Stranger(EchoingPeer):
        def answer(self, request: Any) -> perturber_pb2.ReverseResponse:
            response = super().answer(request)
            response.secrets = np.full(3, 7, "<u4").tobytes()
            return response

    flagged = flagged_of(3)
    for secrets, is_refused in (([7, 0, 7], False), ([7, 8, 7], True)):
        asked = replace(flagged, secrets=np.array(secrets, np.uint32))
        if is_refused:
            with pytest.raises(DependencyUnavailable, match="under another secret"):
                await answers_of(Stranger(), asked)
        else:
            assert len(await answers_of(Stranger(), asked)) == 3
