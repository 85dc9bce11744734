"""The owners that are charged for queries, and the policies of their accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.ledger import Assessment, Charges, Scope, spare
from queen.owners import group_owner


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """The budgets of an account, and how far a spent budget reaches.

    Budgets are records of a class, 0 for the service's own. `group`, if not empty, names
    the accounts that are also charged together, against `group_budget`. An exempt account
    never gets REVERSE; it is charged like any other.
    """

    account_id: str
    budget: int = 0
    scope: Scope = Scope.QUERY
    group: str = ""
    group_budget: int = 0
    is_exempt: bool = False


@dataclass(frozen=True, eq=False)
class Queries:
    """A micro-batch of B queries of `accounts`, distinct, in order."""

    accounts: Sequence[AccountPolicy]
    account_index: NDArray[np.integer]
    """(B,) into `accounts`."""
    labels: NDArray[np.integer]
    """(B,) predicted classes."""
    embeddings: NDArray[np.float32]
    """(B, E)."""
    with_facts: bool = False
    """Whether the assessment must state the facts that its verdicts follow from."""

    def __len__(self) -> int:
        return len(self.labels)


def charge_owners(queries: Queries) -> tuple[Queries, Charges]:
    """The batch as it is charged: every query to its account, and again to its group.

    Groups are owners of ledgers like accounts; the rows that charge them stand behind the
    B rows of the accounts, in the same order.
    """
    groups = list(dict.fromkeys([policy.group for policy in queries.accounts if policy.group]))
    scopes = np.frombuffer(bytes([policy.scope for policy in queries.accounts]), np.uint8)
    every = np.arange(len(queries))
    index = queries.account_index.astype(np.int64, copy=False)
    if not groups:
        return queries, Charges(every, index, scopes[index])
    owners_of = {group: len(queries.accounts) + index for index, group in enumerate(groups)}
    budgets = {policy.group: policy.group_budget for policy in queries.accounts}
    group_of = np.array([owners_of.get(policy.group, -1) for policy in queries.accounts])[index]
    rows = np.concatenate([every, np.flatnonzero(group_of >= 0)])
    owner = np.concatenate([index, group_of[group_of >= 0]])
    owners = [AccountPolicy(group_owner(group), budgets[group]) for group in groups]
    policies, embeddings = [*queries.accounts, *owners], queries.embeddings[rows]
    charged = Queries(policies, owner, queries.labels[rows], embeddings, queries.with_facts)
    return charged, Charges(rows, owner, scopes[index])


def spare_exempt(assessment: Assessment, queries: Queries) -> Assessment:
    """The assessment without a REVERSE of an exempt account, (B,); its records stay as they are."""
    is_exempt = [policy.is_exempt for policy in queries.accounts]
    return spare(assessment, exempt_rows(queries)) if True in is_exempt else assessment


def exempt_rows(queries: Queries) -> NDArray[np.bool_]:
    """Whether the account of each query is exempt, (B,)."""
    exempt = np.array([policy.is_exempt for policy in queries.accounts], np.bool_)
    rows: NDArray[np.bool_] = exempt[queries.account_index]
    return rows
