"""A share of a micro-batch, and the verdicts on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from queen_inference.peers.sensitivity import (
    NO_VERDICT,
    SENSITIVITY,
    Assessed,
    SensitivityClient,
    Share,
)
from queen_inference.protectee import Protectee

from queen.api.v1 import sensitivity_pb2
from queen.errors import DependencyUnavailable, PeerUnavailable
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.facts import FACTS
from queen.serving.auth import Account
from queen.wire import encode_facts
from tests.bundles import SmallBundle
from tests.unit.inference.batches import account_of, batch_of
from tests.unit.inference.peers.remembering import RememberingPeer


class PreservingPeer(RememberingPeer):
    """A peer that says PRESERVE, with facts of so many rows more than it should."""

    def __init__(self, *, has_facts: bool = True, surplus: int = 0) -> None:
        super().__init__(SENSITIVITY)
        self._has_facts, self._surplus = has_facts, surplus

    def answer(self, request: Any) -> sensitivity_pb2.AssessResponse:
        """Facts only if they are asked for."""
        rows = len(request.labels) // 4
        response = sensitivity_pb2.AssessResponse(
            verdicts=bytes([1] * rows),
            causes=bytes(rows),
            sqs=bytes(4 * rows),
            secrets=np.arange(rows, dtype="<u4").tobytes(),
        )
        if request.with_facts and self._has_facts:
            facts = np.zeros(rows + self._surplus, FACTS)
            facts["budgets"] = 7
            response.facts.CopyFrom(encode_facts(facts))
        return response


class FailingPeer(RememberingPeer):
    """A peer that gives such verdicts and failures."""

    def __init__(self, verdicts: bytes, failures: bytes) -> None:
        super().__init__(SENSITIVITY)
        self._answer = verdicts, failures

    def answer(self, request: Any) -> sensitivity_pb2.AssessResponse:
        """Answer with the value that the test has set."""
        verdicts, failures = self._answer
        rows = len(request.labels) // 4
        return sensitivity_pb2.AssessResponse(
            verdicts=verdicts,
            causes=bytes(rows),
            sqs=bytes(4 * rows),
            secrets=bytes(4 * rows),
            failures=failures,
        )


def share_of(accounts: list[Account], rows: int) -> Share:
    """Rows dealt out to the accounts in turn."""
    every = np.arange(rows)
    embeddings = np.zeros((rows, 2), np.float32)
    return Share(every, accounts, every % len(accounts), every, embeddings)


async def assessed_by(peer: RememberingPeer, share: Share, *, with_facts: bool = False) -> Assessed:
    """Verdicts on a share."""
    client = SensitivityClient(peer, "digest", with_facts=with_facts)
    try:
        return await client.assess(share, 1.0)
    finally:
        await peer.channel.close(None)


async def policies_of(accounts: list[Account]) -> list[sensitivity_pb2.AccountPolicy]:
    """The policies that travel with a share of one row an account."""
    peer = PreservingPeer()
    await assessed_by(peer, share_of(accounts, len(accounts)))
    return list(peer.requests[0].accounts)


@pytest.mark.parametrize(
    ("profile", "scope"),
    [
        (Profile.PAPER, sensitivity_pb2.SCOPE_QUERY),
        (Profile.SAFE, sensitivity_pb2.SCOPE_QUERY),
        (Profile.OBSERVE, sensitivity_pb2.SCOPE_QUERY),
        (Profile.BALANCED, sensitivity_pb2.SCOPE_ACCOUNT),
        (Profile.STRICT, sensitivity_pb2.SCOPE_ACCOUNT),
        (Profile.REFUSE, sensitivity_pb2.SCOPE_REPEATED),
    ],
)
async def test_the_scope_follows_the_profile(profile: Profile, scope: int) -> None:
    """Of the account."""
    (policy,) = await policies_of([account_of(profile)])
    assert policy.scope == scope


async def test_a_group_travels_with_its_policy() -> None:
    """0 and the empty text stand for a policy that the account does not state."""
    own, of_group = CrossingPolicy(7, 2, 3), CrossingPolicy(40, 4, CAP_OFF)
    grouped = Account("a", Profile.PAPER, "hash", "acme", own, of_group)
    plain = Account("b", Profile.PAPER, "hash")
    first, second = await policies_of([grouped, plain])
    assert (first.account_id, first.group) == ("a", "acme")
    assert (first.budget, first.breadth, first.class_cap) == own
    assert (first.group_budget, first.group_breadth, first.group_class_cap) == of_group
    assert (second.budget, second.group, second.group_budget) == (0, "", 0)
    assert (second.breadth, second.class_cap, second.group_breadth) == (0, 0, 0)


async def test_one_group_has_one_policy_while_accounts_are_swapped() -> None:
    """Requests from before and after a reload may share a micro-batch; it must not be refused."""
    before = Account("a", Profile.PAPER, "hash", "acme")
    after = Account("b", Profile.PAPER, "hash", "acme", group_crossing=CrossingPolicy(40, 2))
    for accounts in ([before, after], [after, before]):
        sent = await policies_of(accounts)
        assert len({(policy.group_budget, policy.group_breadth) for policy in sent}) == 1


async def test_an_exemption_travels_with_its_account() -> None:
    """The policy of an exempt account says so, and no other one does."""
    spared = Account("a", Profile.PAPER, "hash-a", is_exempt=True)
    policies = await policies_of([spared, Account("b", Profile.PAPER, "hash-b")])
    assert [policy.exempt for policy in policies] == [True, False]


async def test_facts_are_asked_for_only_where_they_are_wanted() -> None:
    """They cost bytes that only a decision log reads."""
    share = share_of([account_of(Profile.PAPER)], 2)
    for with_facts, budgets in ((False, [0, 0]), (True, [7, 7])):
        assessed = await assessed_by(PreservingPeer(), share, with_facts=with_facts)
        assert assessed.facts["budgets"].tolist() == budgets


@pytest.mark.parametrize(
    ("peer", "got"), [({"surplus": 1}, 24), ({"has_facts": False}, 0)], ids=["too many", "none"]
)
async def test_facts_of_another_number_of_rows_are_no_answer(
    peer: dict[str, Any], got: int
) -> None:
    """As for every other tensor of the peer's; a log without them could not be replayed."""
    share = share_of([account_of(Profile.PAPER)], 2)
    wrong = rf"facts\.distances: expected 16 bytes, got {got}"
    with pytest.raises(DependencyUnavailable, match=wrong):
        await assessed_by(PreservingPeer(**peer), share, with_facts=True)


async def test_the_share_of_a_micro_batch_names_each_account_once(
    small: SmallBundle, protectee: Protectee
) -> None:
    """Rows stay in order, and each says which account sent it."""
    first, second = account_of(Profile.PAPER, "first"), account_of(Profile.SAFE, "second")
    batch = batch_of(small, protectee, [first, second, first], [2, 1, 2])
    share = Share.of(batch)
    assert share.accounts == [first, second]
    assert share.account_index.tolist() == [0, 0, 1, 0, 0]
    assert share.rows.tolist() == list(range(5))
    assert share.labels is batch.labels
    assert share.embeddings is batch.outputs.embeddings


def test_a_share_is_divided_by_accounts() -> None:
    """The parts hold each row once, with its account, and are whole if all are chosen."""
    accounts = [account_of(Profile.PAPER, name) for name in "abc"]
    share = share_of(accounts, 7)
    part = share.of_accounts(np.array([0, 2]))
    assert [account.account_id for account in part.accounts] == ["a", "c"]
    assert part.rows.tolist() == part.labels.tolist() == [0, 2, 3, 5, 6]
    assert part.account_index.tolist() == [0, 1, 0, 1, 0]
    assert len(part) == len(part.embeddings) == 5
    assert share.of_accounts(np.arange(3)) is share


def test_a_part_of_the_verdicts_holds_the_same_rows_of_everything() -> None:
    """And no problem: all rows that are kept have a verdict."""
    assessed = Assessed.without_verdicts(3, PeerUnavailable("gone"))
    assert (assessed.verdicts == NO_VERDICT).all()
    assessed.verdicts[:], assessed.causes[:], assessed.sqs[:] = [1, 2, 3], [0, 0, 1], [0.1, 0.2, 1]
    assessed.facts["budgets"] = [7, 8, 9]
    part = assessed.part(np.array([False, True, True]))
    assert [array.tolist() for array in part.arrays()[:2]] == [[2, 3], [0, 1]]
    assert part.sqs.tolist() == assessed.sqs[1:].tolist()
    assert part.facts["budgets"].tolist() == [8, 9]
    assert part.problem is None


async def test_accounts_under_observe_are_kept_apart_if_the_client_is_told_so() -> None:
    """No other account is, and none for a front door that logs no decisions."""
    accounts = [account_of(Profile.OBSERVE, "a"), account_of(Profile.PAPER, "b")]
    for keeps_observed in (False, True):
        peer = PreservingPeer()
        client = SensitivityClient(peer, "digest", keeps_observed=keeps_observed)
        await client.assess(share_of(accounts, 2), 1.0)
        await peer.channel.close(None)
        policies = peer.requests[0].accounts
        assert [policy.observed for policy in policies] == [keeps_observed, False]


async def test_secrets_travel_there_and_back() -> None:
    """Those of now, and for which accounts the perturber answers; each row gets its owner's."""
    held: list[int] = [5]
    peer = PreservingPeer()
    client = SensitivityClient(peer, "digest", secrets=lambda: held)
    share = share_of([account_of(profile) for profile in (Profile.STRICT, Profile.SAFE)], 3)
    for expected in ([5], [6, 5], []):
        held[:] = expected
        assessed = await client.assess(share, 1.0)
        assert list(peer.requests[-1].secrets) == expected
        assert assessed.secrets.tolist() == [0, 1, 2]
    await peer.close()
    assert [policy.keyed for policy in peer.requests[0].accounts] == [True, False]


async def test_rows_without_a_verdict_say_why() -> None:
    """A store that is away is a problem like a peer's; the other failures speak for themselves."""
    share = share_of([account_of(Profile.PAPER)], 4)
    assessed = await assessed_by(FailingPeer(bytes([1, 0, 0, 2]), bytes([0, 2, 3, 0])), share)
    assert assessed.failures.tolist() == [0, 2, 3, 0]
    assert (assessed.verdicts == NO_VERDICT).tolist() == [False, True, True, False]
    assert assessed.problem is None
    assessed = await assessed_by(FailingPeer(bytes([1, 0, 1, 2]), bytes([0, 1, 0, 0])), share)
    assert "does not answer" in str(assessed.problem)


@pytest.mark.parametrize(
    ("verdicts", "failures", "wrong"),
    [
        ([1, 1, 1, 1], [0, 2, 0, 0], "verdicts"),
        ([1, 0, 1, 1], [], "verdicts"),
        ([1, 4, 1, 1], [], "verdicts"),
        ([1, 0, 1, 1], [0, 9, 0, 0], "failures"),
        ([1, 0, 1, 1], [0, 1], "failures: expected 4 bytes"),
    ],
)
async def test_verdicts_and_failures_that_contradict_each_other_are_no_answer(
    verdicts: list[int], failures: list[int], wrong: str
) -> None:
    """Each row has one of the two."""
    share = share_of([account_of(Profile.PAPER)], 4)
    with pytest.raises(DependencyUnavailable, match=wrong):
        await assessed_by(FailingPeer(bytes(verdicts), bytes(failures)), share)
