"""Budgets of accounts.yaml that the bundle has no room for."""

from __future__ import annotations

import pytest
from queen_inference.budgets import require_budgets

from queen.bundle import open_bundle
from queen.errors import ConfigError
from queen.method.sensitivity import largest_budget
from queen.serving.accounts import AccountsFile
from queen.serving.auth import key_digest
from tests.bundles import SmallBundle


def _accounts(*budgets: int | None) -> AccountsFile:
    return AccountsFile.model_validate(
        {
            "accounts": [
                {"id": f"a{number}", "key_sha256": key_digest(str(number)), "budget": budget}
                for number, budget in enumerate(budgets)
            ]
        }
    )


def test_a_budget_that_cannot_be_spent_is_refused_by_entry(small: SmallBundle) -> None:
    """The sentence names the entry, the largest budget and the one it got, and no account."""
    bundle = open_bundle(small.path)
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    require_budgets(bundle, _accounts(None, largest))
    with pytest.raises(
        ConfigError, match=f"entry 2.*at most {largest}, got {largest + 1}"
    ) as raised:
        require_budgets(bundle, _accounts(5, largest + 1))
    assert "a1" not in str(raised.value)


def test_a_group_budget_that_cannot_be_spent_is_refused_by_its_place(small: SmallBundle) -> None:
    """The groups of the file are held to the same bound, and no group is named."""
    bundle = open_bundle(small.path)
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)

    def grouped(budget: int) -> AccountsFile:
        groups = [{"id": "north", "budget": 3}, {"id": "acme", "budget": budget}]
        return AccountsFile.model_validate({"accounts": [], "groups": groups})

    require_budgets(bundle, grouped(largest))
    with pytest.raises(
        ConfigError, match=f"group 2.*at most {largest}, got {largest + 1}"
    ) as raised:
        require_budgets(bundle, grouped(largest + 1))
    assert "acme" not in str(raised.value)
