"""What accounts.yaml says of the accounts and groups whose ledgers are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from queen.cli.state import StateFolder
from queen.errors import ConfigError
from queen.owners import group_owner, is_group
from queen.serving.accounts import AccountEntry, AccountsFile, read_accounts


@dataclass(frozen=True)
class Policies:
    """Accounts by id, and budgets of their own by the id of their ledger, groups among them."""

    entries: Mapping[str, AccountEntry]
    budgets: Mapping[str, int]

    def group(self, account_id: str) -> str | None:
        """The group of an account, None if it has none or is not known."""
        entry = self.entries.get(account_id)
        return entry.group if entry else None

    def words(self, owner: str) -> str:
        """Group, profile and exemption of an account, as far as they are stated."""
        if is_group(owner):
            return ""
        entry = self.entries.get(owner)
        if entry is None:
            return "no entry"
        stated = [group_owner(entry.group)] if entry.group else []
        stated += [entry.profile.value] if entry.profile else []
        return ", ".join([*stated, *(["exempt"] if entry.exempt else [])])

    def is_exempt(self, owner: str) -> bool:
        """Whether the owner is never reversed, whatever it has spent."""
        entry = self.entries.get(owner)
        return entry is not None and entry.exempt


def policies_of(content: AccountsFile) -> Policies:
    """Policies of an accounts file."""
    budgets = {entry.id: entry.budget for entry in content.accounts}
    budgets |= {group_owner(group.id): group.budget for group in content.groups}
    return Policies(
        {entry.id: entry for entry in content.accounts},
        {owner: budget for owner, budget in budgets.items() if budget is not None},
    )


def find_policies(given: Path | None, admin: str | None, state: Path) -> Policies | None:
    """Policies of the file that was given, or else of the `queen up` that is asked.

    None where there is neither. Raises ConfigError for a file that was given and is wrong;
    of one that was found that is said, and the accounts are shown without it.
    """
    if given is not None:
        return policies_of(read_accounts(given))
    # Whoever names an admin port may mean another deployment than the one in the folder.
    folder = StateFolder(state)
    found = None if admin or not folder.up.exists() else folder.read_up().get("accounts")
    if not found:
        return None
    try:
        return policies_of(read_accounts(Path(found)))
    except (ConfigError, OSError) as error:
        click.echo(f"measured against the service's default budget: {error}", err=True)
        return None
