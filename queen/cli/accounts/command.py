"""`queen accounts`: make accounts, show and change their ledgers."""

from __future__ import annotations

import click

from queen.cli.accounts.changes import audit, delete, exempt, reset
from queen.cli.accounts.links import links
from queen.cli.accounts.new import new, second_key
from queen.cli.accounts.show import list_accounts, show
from queen.cli.accounts.transfer import export, import_accounts
from queen.cli.accounts.watch import watch
from queen.cli.operators.new import operator


@click.group()
def command() -> None:
    """Make accounts, show how much of their budgets they have spent, change their ledgers."""


for _command in (
    *(new, second_key, operator, list_accounts, show, links, watch),
    *(reset, delete, exempt, export, import_accounts, audit),
):
    command.add_command(_command)
