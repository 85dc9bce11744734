"""Decodes an AssessRequest into queries, and checks every field of it before any ledger is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import sensitivity_pb2 as pb
from queen.bundle import Bundle
from queen.errors import InvalidQuery
from queen.method.answers.fingerprint import LARGEST_FINGERPRINT, MOST_SECRETS
from queen.method.crossing import CrossingPolicy
from queen.method.enforcement import Scope
from queen.owners import GROUP_PREFIX, LONGEST_OWNER, OBSERVED_PREFIX
from queen.wire import read_tensor, require_bundle, require_finite, require_rows
from queen_sensitivity.engine.charging import AccountPolicy, Queries


@dataclass(frozen=True)
class Expected:
    """The bundle that requests are expected to be made with, and the most rows of a request."""

    bundle_digest: str
    classes: int
    embedding_width: int
    most_rows: int

    @classmethod
    def of_bundle(cls, bundle: Bundle, most_rows: int) -> Expected:
        """Requests for a bundle."""
        geometry = bundle.geometry
        return cls(bundle.digest, geometry.num_classes, geometry.embedding_width, most_rows)


def read_queries(request: pb.AssessRequest, expected: Expected) -> Queries:
    """The queries of a request.

    Raises BundleMismatch, BatchTooLarge, ShapeMismatch or InvalidQuery, which say what was
    expected and what was got.
    """
    require_bundle(expected.bundle_digest, request.bundle_digest)
    labels = read_tensor(request.labels, "<i4", (-1,), "labels")
    rows = len(labels)
    require_rows(rows, expected.most_rows, "labels")
    account_index = read_tensor(request.account_index, "<u4", (rows,), "account_index")
    shape = (rows, expected.embedding_width)
    embeddings = read_tensor(request.embeddings, "<f4", shape, "embeddings")
    accounts = [_read_policy(index, entry) for index, entry in enumerate(request.accounts)]
    _require_accounts([account.account_id for account in accounts])
    _require_group_policies(accounts)
    _require_below(account_index, len(accounts), "account_index")
    _require_below(labels, expected.classes, "labels")
    require_finite(embeddings, "embeddings")
    wide = (account_index.astype(np.int64), labels.astype(np.int64))
    secrets = _read_secrets(request.secrets)
    return Queries(accounts, *wide, embeddings, request.with_facts, secrets)


def _read_policy(index: int, entry: pb.AccountPolicy) -> AccountPolicy:
    if not 0 <= entry.scope <= max(Scope):
        raise InvalidQuery(
            f"accounts[{index}].scope: expected 0 to {max(Scope)}, got {entry.scope}",
            field=f"accounts[{index}].scope",
        )
    if len(entry.group) > LONGEST_OWNER:
        raise InvalidQuery(
            f"accounts[{index}].group: expected at most {LONGEST_OWNER} characters, "
            f"got {len(entry.group)}",
            field=f"accounts[{index}].group",
        )
    scope = Scope(entry.scope or Scope.QUERY)
    crossing = CrossingPolicy(entry.budget, entry.breadth, entry.class_cap)
    of_group = CrossingPolicy(entry.group_budget, entry.group_breadth, entry.group_class_cap)
    return AccountPolicy(
        *(entry.account_id, crossing, scope, entry.group, of_group),
        is_exempt=entry.exempt,
        is_observed=entry.observed,
        is_keyed=entry.keyed,
    )


def _read_secrets(fingerprints: Sequence[int]) -> tuple[int, ...]:
    if len(fingerprints) > MOST_SECRETS:
        raise InvalidQuery(
            f"secrets: expected at most {MOST_SECRETS}, got {len(fingerprints)}", field="secrets"
        )
    for fingerprint in fingerprints:
        if not 0 < fingerprint <= LARGEST_FINGERPRINT:
            raise InvalidQuery(
                f"secrets: expected fingerprints of 1 to {LARGEST_FINGERPRINT}, got {fingerprint}",
                field="secrets",
            )
    return tuple(fingerprints)


def _require_group_policies(accounts: Sequence[AccountPolicy]) -> None:
    groups: dict[str, CrossingPolicy] = {}
    for policy in accounts:
        stated = policy.group_crossing
        known = groups.setdefault(policy.group, stated) if policy.group else stated
        if known != stated:
            names = CrossingPolicy._fields
            field = next(name for name in names if getattr(known, name) != getattr(stated, name))
            raise InvalidQuery(
                f"accounts: expected the same group_{field} for all accounts of a group, got two",
                field=f"accounts.group_{field}",
            )


def _require_accounts(account_ids: Sequence[str]) -> None:
    if not account_ids:
        raise InvalidQuery("accounts: expected at least 1 account, got 0", field="accounts")
    for index, account_id in enumerate(account_ids):
        if not 1 <= len(account_id) <= LONGEST_OWNER:
            raise InvalidQuery(
                f"accounts[{index}]: expected an account id of 1 to {LONGEST_OWNER} characters, "
                f"got {len(account_id)}",
                field=f"accounts[{index}].account_id",
            )
        for prefix in (GROUP_PREFIX, OBSERVED_PREFIX):
            if account_id.startswith(prefix):
                raise InvalidQuery(
                    f"accounts[{index}]: expected an account id that does not begin with "
                    f"'{prefix}', got an id of other ledgers",
                    field=f"accounts[{index}].account_id",
                )
    if len(set(account_ids)) != len(account_ids):
        # Two entries could carry two budgets, and the order of rows would be lost.
        raise InvalidQuery("accounts: expected each account once, got one twice", field="accounts")


def _require_below(values: NDArray[np.integer], bound: int, field: str) -> None:
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= bound:
        worst = lowest if lowest < 0 else highest
        raise InvalidQuery(f"{field}: expected values in 0..{bound - 1}, got {worst}", field=field)
