"""What the front door sends to its peers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from queen_inference.peers.clients import PerturberClient, SensitivityClient
from queen_inference.peers.peer import PERTURBER, SENSITIVITY, Peer

from queen.api.v1 import perturber_pb2, sensitivity_pb2
from queen.errors import DependencyUnavailable
from queen.method.contracts import Profile
from queen.method.facts import FACTS
from queen.serving.auth import Account
from queen.wire import encode_facts

NOWHERE = "127.0.0.1:1"


class RememberingPeer(Peer):
    """A peer that keeps the requests, and answers them with one that is made from them."""

    def __init__(self, service: str, max_message_bytes: int = 1 << 20) -> None:
        super().__init__(NOWHERE, service, max_message_bytes)
        self.requests: list[Any] = []

    async def call(self, _method: Any, request: Any, _timeout_seconds: float) -> Any:
        """Remember the request; PRESERVE, or the probabilities themselves."""
        self.requests.append(request)
        if self.service == PERTURBER:
            return perturber_pb2.ReverseResponse(probabilities=request.probabilities)
        rows = len(request.labels) // 4
        return sensitivity_pb2.AssessResponse(
            verdicts=bytes([1] * rows), causes=bytes(rows), sqs=bytes(4 * rows)
        )


async def policies_of(
    accounts: list[Account], default: Profile = Profile.PAPER
) -> list[sensitivity_pb2.AccountPolicy]:
    """The policies that travel with a micro-batch of one row an account."""
    peer = RememberingPeer(SENSITIVITY)
    rows = np.arange(len(accounts))
    embeddings = np.zeros((len(accounts), 2), np.float32)
    await SensitivityClient(peer, "digest", default).assess(
        accounts, rows.astype(np.uint32), rows, embeddings, 1.0
    )
    await peer.channel.close(None)
    return list(peer.requests[0].accounts)


@pytest.mark.parametrize(
    ("profile", "scope"),
    [
        (Profile.PAPER, sensitivity_pb2.SCOPE_QUERY),
        (Profile.SAFE, sensitivity_pb2.SCOPE_QUERY),
        (Profile.OBSERVE, sensitivity_pb2.SCOPE_QUERY),
        (Profile.BALANCED, sensitivity_pb2.SCOPE_ACCOUNT),
        (Profile.STRICT, sensitivity_pb2.SCOPE_ACCOUNT),
    ],
)
async def test_the_scope_follows_the_profile(profile: Profile, scope: int) -> None:
    """Of the account, or of the service where the account names none."""
    own = Account("own", profile, None, "hash")
    (policy,) = await policies_of([own])
    assert policy.scope == scope
    (policy,) = await policies_of([Account("plain", None, None, "hash")], profile)
    assert policy.scope == scope


async def test_a_group_travels_with_its_budget() -> None:
    """0 and the empty text stand for what the account does not say."""
    grouped = Account("a", None, 7, "hash", "acme", 40)
    plain = Account("b", None, None, "hash")
    first, second = await policies_of([grouped, plain])
    assert (first.account_id, first.budget) == ("a", 7)
    assert (first.group, first.group_budget) == ("acme", 40)
    assert (second.budget, second.group, second.group_budget) == (0, "", 0)


async def test_one_group_has_one_budget_while_accounts_are_swapped() -> None:
    """Requests from before and after a reload may share a micro-batch; it must not be refused."""
    before = Account("a", None, None, "hash", "acme", None)
    after = Account("b", None, None, "hash", "acme", 40)
    for accounts in ([before, after], [after, before]):
        budgets = {policy.group_budget for policy in await policies_of(accounts)}
        assert len(budgets) == 1


@pytest.mark.parametrize("max_message_bytes", [1 << 20, 300])
async def test_reverse_is_split_by_size_and_carries_sketches(max_message_bytes: int) -> None:
    """However many calls it takes, rows stay in order and each call states the distance."""
    peer = RememberingPeer(PERTURBER, max_message_bytes)
    rng = np.random.default_rng(0)
    inputs, sketches, embeddings = (rng.normal(size=(9, width)) for width in (5, 3, 2))
    probabilities = rng.random((9, 4)).astype(np.float32)
    answers = await PerturberClient(peer, "digest").reverse(
        np.full(9, 3, np.uint8), inputs, probabilities, embeddings, sketches, 0.5, 1.0
    )
    await peer.channel.close(None)
    assert answers.tobytes() == probabilities.tobytes()
    sent = b"".join(request.sketches for request in peer.requests)
    assert sent == sketches.astype("<f4").tobytes()
    assert {request.balanced_l1 for request in peer.requests} == {0.5}
    assert (len(peer.requests) > 1) is (max_message_bytes == 300)


async def test_a_huge_number_stays_finite_on_the_way() -> None:
    """A row of FP64 beyond float32 must not get the rows beside it refused."""
    peer = RememberingPeer(PERTURBER)
    huge = np.array([[1e300, -1e300], [1.0, 2.0]])
    answers = np.full((2, 2), 0.5, np.float32)
    with np.errstate(all="raise"):
        await PerturberClient(peer, "digest").reverse(
            np.full(2, 4, np.uint8), huge, answers, answers, huge, 0.5, 1.0
        )
    await peer.channel.close(None)
    (request,) = peer.requests
    for sent in (request.shadow_inputs, request.sketches):
        values = np.frombuffer(sent, "<f4").reshape(2, 2)
        assert np.isfinite(values).all()
        assert values[1].tolist() == [1.0, 2.0]


async def test_an_exemption_travels_with_its_account() -> None:
    """The policy says whom to count and not reverse, and nobody else."""
    spared = Account("a", None, None, "hash-a", is_exempt=True)
    policies = await policies_of([spared, Account("b", None, None, "hash-b")])
    assert [policy.exempt for policy in policies] == [True, False]


class FactualPeer(RememberingPeer):
    """A peer that sends facts where they are asked for, of so many rows more than it should."""

    def __init__(self, surplus: int = 0) -> None:
        super().__init__(SENSITIVITY)
        self._surplus = surplus

    async def call(self, method: Any, request: Any, timeout_seconds: float) -> Any:
        """The answer of any peer, with facts."""
        response = await super().call(method, request, timeout_seconds)
        if request.with_facts:
            facts = np.zeros(len(request.labels) // 4 + self._surplus, FACTS)
            facts["budgets"] = 7
            response.facts.CopyFrom(encode_facts(facts))
        return response


async def assessed_with(peer: Peer, *, with_facts: bool) -> Any:
    """Verdicts on two queries."""
    client = SensitivityClient(peer, "digest", Profile.PAPER, with_facts=with_facts)
    account, index = Account("a", None, None, "hash"), np.zeros(2, np.uint32)
    try:
        return await client.assess(
            [account], index, np.zeros(2, np.int64), np.zeros((2, 2), np.float32), 1.0
        )
    finally:
        await peer.channel.close(None)


async def test_facts_are_asked_for_only_where_they_are_wanted() -> None:
    """They cost bytes that only a decision log reads."""
    for with_facts, budgets in ((False, [0, 0]), (True, [7, 7])):
        assessed = await assessed_with(FactualPeer(), with_facts=with_facts)
        assert assessed.facts["budgets"].tolist() == budgets


async def test_a_peer_that_leaves_out_the_facts_gives_no_answer() -> None:
    """A decision log without them could not be replayed."""
    with pytest.raises(DependencyUnavailable, match=r"facts\.distances: expected 16 bytes, got 0"):
        await assessed_with(RememberingPeer(SENSITIVITY), with_facts=True)


async def test_facts_of_another_number_of_rows_are_no_answer() -> None:
    """As for every other tensor of the peer's."""
    with pytest.raises(DependencyUnavailable, match=r"facts\.distances: expected 16 bytes, got 24"):
        await assessed_with(FactualPeer(surplus=1), with_facts=True)
