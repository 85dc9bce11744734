"""The budgets of accounts.yaml, held to the bundle that is served."""

from __future__ import annotations

from queen.bundle import Bundle
from queen.errors import ConfigError
from queen.method.sensitivity import largest_budget
from queen.serving.accounts import AccountsFile


def require_budgets(bundle: Bundle, accounts: AccountsFile) -> None:
    """Refuse a budget that no class of this bundle can spend; ConfigError names its entry.

    Sensitivity would refuse every micro-batch with a query of such an account, and with it
    the verdicts on the other accounts' queries.
    """
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    budgets = [("entry", line, entry.budget) for line, entry in enumerate(accounts.accounts, 1)]
    budgets += [("group", line, group.budget) for line, group in enumerate(accounts.groups, 1)]
    for kind, line, budget in budgets:
        if budget is not None and budget > largest:
            raise ConfigError(
                f"accounts file, {kind} {line}: expected a budget of at most {largest}, "
                f"got {budget}: the sensitive regions of this bundle are full before"
            )
