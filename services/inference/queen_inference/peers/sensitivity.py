"""Verdicts: a share of a micro-batch goes to the sensitivity service, and comes back assessed.

Shapes: B queries of a micro-batch, R of them in a share, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import sensitivity_pb2, sensitivity_pb2_grpc
from queen.errors import DependencyUnavailable, ShapeMismatch
from queen.failures import NO_FAILURE, Failure
from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import CrossingPolicy
from queen.method.facts import FACTS, FactArray
from queen.method.ledger import Verdict
from queen.serving.auth import Account
from queen.wire import PROFILES, read_facts, read_tensor, tensor_bytes
from queen_inference.micro_batch import MicroBatch, RowIndex
from queen_inference.peers.peer import Call, Callee
from queen_inference.protectee import SingleArray

SENSITIVITY = sensitivity_pb2.DESCRIPTOR.services_by_name["SensitivityService"].full_name
NO_VERDICT = 0
"""Stands in place of the verdict on a query that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Queries of a micro-batch that are assessed by the same replica.

    `rows` (R,), ascending, are their rows in the micro-batch, and `account_index` (R,) says which
    of the `accounts` sent each; `labels` (R,) and `embeddings` (R, E) are the protectee's.
    """

    rows: RowIndex
    accounts: Sequence[Account]
    account_index: RowIndex
    labels: RowIndex
    embeddings: SingleArray

    @classmethod
    def of(cls, batch: MicroBatch) -> Self:
        """All of a micro-batch."""
        accounts: dict[str, Account] = {}
        for request in batch.requests:
            accounts.setdefault(request.account.account_id, request.account)
        index = {account_id: position for position, account_id in enumerate(accounts)}
        return cls(
            np.arange(len(batch)),
            list(accounts.values()),
            batch.by_row(
                [index[request.account.account_id] for request in batch.requests], np.int64
            ),
            batch.labels,
            batch.outputs.embeddings,
        )

    def __len__(self) -> int:
        """R."""
        return len(self.rows)

    def of_accounts(self, chosen: RowIndex) -> Share:
        """The queries of some of the accounts, given their positions, ascending."""
        if len(chosen) == len(self.accounts):
            return self
        new_index = np.full(len(self.accounts), -1, np.int64)
        new_index[chosen] = np.arange(len(chosen))
        index = new_index[self.account_index]
        rows = np.flatnonzero(index >= 0)
        return Share(
            self.rows[rows],
            [self.accounts[position] for position in chosen.tolist()],
            index[rows],
            self.labels[rows],
            self.embeddings[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Assessed:
    """Verdicts (R,) uint8 on the queries of a share, with the numbers that they follow from.

    `causes` (R,) uint8 are bits of `queen.method.enforcement.Cause`, `sqs` (R,) float32. `facts`
    (R,) are of `queen.method.facts.FACTS`, zeros if the client does not ask for them. `secrets`
    (R,) are the fingerprints under which the perturber answers queries of owners that are over, 0
    for any other. A query with NO_VERDICT has zeros for the rest; `failures` (R,) uint8 say why, by
    the numbers of `queen.failures.Failure`, or else `problem` does.
    """

    verdicts: NDArray[np.uint8]
    causes: NDArray[np.uint8]
    sqs: SingleArray
    facts: FactArray
    secrets: NDArray[np.uint32]
    failures: NDArray[np.uint8]
    problem: DependencyUnavailable | None = None

    @classmethod
    def without_verdicts(cls, count: int, problem: DependencyUnavailable | None) -> Self:
        """`count` queries without verdicts."""
        verdicts, causes, failures = np.zeros((3, count), np.uint8)
        sqs, facts = np.zeros(count, np.float32), np.zeros(count, FACTS)
        secrets = np.zeros(count, np.uint32)
        return cls(verdicts, causes, sqs, facts, secrets, failures, problem)

    def part(self, rows: NDArray[np.bool_]) -> Assessed:
        """Some of the queries (R,)."""
        return Assessed(*(array[rows] for array in self.arrays()))

    def arrays(self) -> list[Any]:
        """The arrays (R,), in the order of the fields."""
        return [getattr(self, name) for name in _ARRAYS]


_ARRAYS = [field.name for field in fields(Assessed) if field.name != "problem"]


class Assessor(Protocol):
    """Gives verdicts: one sensitivity service, or its replicas."""

    async def assess(self, share: Share, timeout_seconds: float) -> Assessed:
        """Verdicts on a share; DependencyUnavailable if none of them comes in time."""


class SensitivityClient:
    """Asks one endpoint of the sensitivity service; for facts as well, if `with_facts`.

    With `keeps_observed`, what accounts under `observe` ask is also kept without a limit. `secrets`
    gives the fingerprints that every perturber holds, the current one first.
    """

    def __init__(
        self,
        peer: Callee,
        bundle_digest: str,
        *,
        with_facts: bool = False,
        keeps_observed: bool = False,
        secrets: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        self._peer = peer
        self._digest = bundle_digest
        self._with_facts = with_facts
        self._keeps_observed = keeps_observed
        self._secrets = secrets
        self._assess: Call = sensitivity_pb2_grpc.SensitivityServiceStub(peer.channel).Assess

    async def assess(self, share: Share, timeout_seconds: float) -> Assessed:
        """Verdicts on a share; DependencyUnavailable if none of them comes in time."""
        # While accounts.yaml is swapped, accounts of one group may come with two policies;
        # sensitivity accepts one.
        groups = {account.group: account.group_crossing for account in share.accounts}
        request = sensitivity_pb2.AssessRequest(
            bundle_digest=self._digest,
            accounts=[self._policy(account, groups) for account in share.accounts],
            account_index=tensor_bytes(share.account_index, "<u4"),
            labels=tensor_bytes(share.labels, "<i4"),
            embeddings=tensor_bytes(share.embeddings),
            with_facts=self._with_facts,
            secrets=self._secrets(),
        )
        response = await self._peer.call(self._assess, request, timeout_seconds)
        try:
            return self._read(response, len(share))
        except ShapeMismatch as error:
            raise DependencyUnavailable(f"{SENSITIVITY}: {error}") from error

    def _policy(
        self, account: Account, groups: Mapping[str | None, CrossingPolicy]
    ) -> sensitivity_pb2.AccountPolicy:
        own, of_group = account.crossing, groups[account.group]
        return sensitivity_pb2.AccountPolicy(
            account_id=account.account_id,
            budget=own.budget,
            breadth=own.breadth,
            class_cap=own.class_cap,
            scope=sensitivity_pb2.Scope.Name(SCOPES[account.profile]),
            group=account.group or "",
            group_budget=of_group.budget,
            group_breadth=of_group.breadth,
            group_class_cap=of_group.class_cap,
            exempt=account.is_exempt,
            observed=self._keeps_observed and account.profile is Profile.OBSERVE,
            keyed=account.profile in PROFILES.values(),
        )

    def _read(self, response: sensitivity_pb2.AssessResponse, count: int) -> Assessed:
        failures = np.zeros(count, np.uint8)
        if response.failures:
            failures = read_tensor(response.failures, "u1", (count,), "AssessResponse.failures")
        if (failures > max(Failure)).any():
            raise ShapeMismatch("AssessResponse.failures: expected 0 to 3, got another number")
        verdicts = read_tensor(response.verdicts, "u1", (count,), "AssessResponse.verdicts")
        is_known = (verdicts >= Verdict.PRESERVE) & (verdicts <= Verdict.REVERSE)
        if (is_known != (failures == NO_FAILURE)).any() or verdicts[~is_known].any():
            raise ShapeMismatch("AssessResponse.verdicts: expected 1, 2 or 3, got another number")
        causes = read_tensor(response.causes, "u1", (count,), "AssessResponse.causes")
        sqs = read_tensor(response.sqs, "<f4", (count,), "AssessResponse.sqs")
        facts = read_facts(response.facts, count) if self._with_facts else np.zeros(count, FACTS)
        secrets = read_tensor(response.secrets, "<u4", (count,), "AssessResponse.secrets")
        problem = None
        if (failures == Failure.STORE_AWAY).any():
            problem = DependencyUnavailable(f"{SENSITIVITY}: the ledger store does not answer")
        return Assessed(verdicts, causes, sqs, facts, secrets, failures, problem)
