"""Answers to flagged rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from queen_inference.answers.fallback import Fallback, protect_answers
from queen_inference.answers.reverse import Reverser
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.perturber import PerturberClient
from queen_inference.protectee import Protectee

from queen.bundle import Bundle, open_bundle
from queen.method.answers.decoy import sketch_inputs
from queen.method.contracts import Profile
from tests.bundles import SmallBundle, SmallShadows, make_bundle
from tests.unit.inference.batches import account_of, batch_of
from tests.unit.inference.conftest import Counted, granting
from tests.unit.inference.peers.stand_ins import ToldPerturber

ANSWER = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
FLAGGED = np.array([0, 2, 3])
SECRETS = np.array([7, 0, 8], np.uint32)


@pytest.fixture
async def perturber() -> AsyncIterator[ToldPerturber]:
    """Gives every row the same answer."""
    peer = ToldPerturber(ANSWER)
    yield peer
    await peer.close()


def reverser_of(
    bundle: Bundle, peer: ToldPerturber, metrics: InferenceMetrics, balanced_l1: float = 2.0
) -> Reverser:
    """A reverser over a peer."""
    fallback = Fallback("protect", metrics, granting())
    return Reverser(bundle, PerturberClient(peer, "digest"), balanced_l1, fallback, metrics)


def sent(data: bytes, width: int) -> np.ndarray:
    """A tensor of the request."""
    return np.frombuffer(data, "<f4").reshape(-1, width)


@pytest.mark.parametrize("on", ["features", "inputs"])
async def test_the_perturber_gets_the_flagged_rows(
    protectee: Protectee,
    small: SmallBundle,
    metrics: InferenceMetrics,
    perturber: ToldPerturber,
    tmp_path: Any,
    on: str,
) -> None:
    """With the numbers of their profiles, and the inputs that the shadow models read."""
    made = make_bundle(tmp_path / "b", shadows=SmallShadows(on=on))
    accounts = [account_of(name) for name in (Profile.PAPER, Profile.STRICT, Profile.BALANCED)]
    batch = batch_of(small, protectee, accounts, [2, 1, 1])
    reverser = reverser_of(open_bundle(made.path), perturber, metrics)
    answers = await reverser.answers(batch, FLAGGED, SECRETS, 1.0)
    np.testing.assert_array_equal(answers, np.tile(ANSWER, (3, 1)))
    (request,) = perturber.requests
    assert list(request.profiles) == [1, 3, 2]
    assert request.secrets == SECRETS.tobytes()
    outputs = batch.outputs
    np.testing.assert_array_equal(sent(request.probabilities, 4), outputs.probabilities[FLAGGED])
    np.testing.assert_array_equal(sent(request.embeddings, 2), outputs.embeddings[FLAGGED])
    read = batch.inputs if on == "inputs" else outputs.features
    np.testing.assert_array_equal(sent(request.shadow_inputs, read.shape[1]), read[FLAGGED])
    sketches = sketch_inputs(batch.inputs[FLAGGED]).astype(np.float32)
    np.testing.assert_array_equal(sent(request.sketches, sketches.shape[1]), sketches)


async def test_an_answer_beyond_its_distance_is_replaced_and_counted(
    protectee: Protectee,
    small: SmallBundle,
    bundle: Bundle,
    metrics: InferenceMetrics,
    perturber: ToldPerturber,
    counted: Counted,
) -> None:
    """Of `balanced`, and of no other profile, whatever the perturber says."""
    accounts = [account_of(Profile.BALANCED), account_of(Profile.STRICT)]
    batch = batch_of(small, protectee, accounts, [1, 1])
    reverser = reverser_of(bundle, perturber, metrics, balanced_l1=1e-6)
    answers = await reverser.answers(batch, np.arange(2), SECRETS[:2], 1.0)
    np.testing.assert_array_equal(answers[:1], protect_answers(batch.labels[:1], 4))
    np.testing.assert_array_equal(answers[1], ANSWER)
    assert counted("queen_contract_violations_total") == 1
