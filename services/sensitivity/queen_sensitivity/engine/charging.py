"""The owners that are charged for the queries of a micro-batch: accounts, and their groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import NO_LIMIT, UNSTATED, CrossingPolicy
from queen.method.enforcement import Charges, Scope, spare
from queen.method.facts import ObservedCharges
from queen.method.ledger import Assessment
from queen.owners import group_owner, observed_owner


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    """The crossing policy of an account, its scope, and whether it is exempt.

    `group`, if not empty, names the accounts that are also charged together, under
    `group_crossing`. An exempt account never gets REVERSE; it is charged like any other. What an
    observed account asks is charged a second time, without a limit and without any verdict. The
    flagged queries of a keyed account are answered under a secret.
    """

    account_id: str
    crossing: CrossingPolicy = UNSTATED
    scope: Scope = Scope.QUERY
    group: str = ""
    group_crossing: CrossingPolicy = UNSTATED
    is_exempt: bool = False
    is_observed: bool = False
    is_keyed: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether its queries may be refused, and change nothing from then on."""
        return self.scope is Scope.REPEATED and not self.is_exempt


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
    secrets: Sequence[int] = ()
    """Fingerprints of the secrets that every perturber holds, the current one first."""

    def __len__(self) -> int:
        return len(self.labels)


class Charged(NamedTuple):
    """R rows that charge owners: first those that `charges` counts, then those that are observed.

    No verdict follows from the observed charges.
    """

    rows: Queries
    charges: Charges
    observed: ObservedCharges


_NOTHING_OBSERVED = ObservedCharges(np.zeros(0, np.int64), np.zeros(0, np.bool_))


def charge_owners(queries: Queries) -> Charged:
    """Charge every query of a batch to its account and its group, and observed queries once more.

    Groups are owners of ledgers like accounts; the rows that charge them stand behind the
    B rows of the accounts, in the same order. So do those that charge observed ledgers.
    """
    rows, charges = _charge_counted(queries)
    is_observed = np.array([policy.is_observed for policy in queries.accounts], np.bool_)
    if not is_observed.any():
        return Charged(rows, charges, _NOTHING_OBSERVED)
    again = np.flatnonzero(is_observed[queries.account_index[charges.row]])
    owners, owner = np.unique(charges.owner[again], return_inverse=True)
    policies = [
        AccountPolicy(observed_owner(rows.accounts[index].account_id), NO_LIMIT)
        for index in owners.tolist()
    ]
    everything = np.concatenate([np.arange(len(rows)), again])
    charged = Queries(
        [*rows.accounts, *policies],
        np.concatenate([charges.owner, len(rows.accounts) + owner.reshape(-1)]),
        rows.labels[everything],
        rows.embeddings[everything],
        queries.with_facts,
    )
    observed = ObservedCharges(charges.row[again], again >= len(queries))
    return Charged(charged, charges, observed)


def _charge_counted(queries: Queries) -> tuple[Queries, Charges]:
    groups = list(dict.fromkeys([policy.group for policy in queries.accounts if policy.group]))
    scopes = np.frombuffer(bytes([policy.scope for policy in queries.accounts]), np.uint8)
    own_rows = np.arange(len(queries))
    index = queries.account_index.astype(np.int64, copy=False)
    if not groups:
        return queries, Charges(own_rows, index, scopes[index])
    owners_of = {group: len(queries.accounts) + index for index, group in enumerate(groups)}
    crossing = {policy.group: policy.group_crossing for policy in queries.accounts}
    group_of = np.array([owners_of.get(policy.group, -1) for policy in queries.accounts])[index]
    rows = np.concatenate([own_rows, np.flatnonzero(group_of >= 0)])
    owner = np.concatenate([index, group_of[group_of >= 0]])
    owners = [AccountPolicy(group_owner(group), crossing[group]) for group in groups]
    policies, embeddings = [*queries.accounts, *owners], queries.embeddings[rows]
    charged = Queries(policies, owner, queries.labels[rows], embeddings, queries.with_facts)
    return charged, Charges(rows, owner, scopes[index])


def spare_exempt(assessment: Assessment, queries: Queries) -> Assessment:
    """The assessment with no REVERSE for exempt accounts, (B,); the records stay as they are."""
    is_exempt = [policy.is_exempt for policy in queries.accounts]
    return spare(assessment, exempt_rows(queries)) if True in is_exempt else assessment


def exempt_rows(queries: Queries) -> NDArray[np.bool_]:
    """Whether the account of each query is exempt, (B,)."""
    exempt = np.array([policy.is_exempt for policy in queries.accounts], np.bool_)
    rows: NDArray[np.bool_] = exempt[queries.account_index]
    return rows
