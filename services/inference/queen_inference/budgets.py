"""The crossing policies of accounts.yaml, held to the bundle that is served."""

from __future__ import annotations

from queen.bundle import Bundle
from queen.method.sensitivity import largest_budget
from queen.serving.accounts import AccountsFile


def require_budgets(bundle: Bundle, accounts: AccountsFile) -> None:
    """Refuse a budget or a class cap for which this bundle's regions have no room.

    Raises ConfigError, which names the entry. Sensitivity would refuse every micro-batch with a
    query of such an account, and with it the verdicts on the other accounts' queries.
    """
    accounts.require_budgets(largest_budget(bundle.geometry, bundle.mean_squared_sqs))
