"""`queen accounts new`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from queen.cli.accounts.accounts_file import account_lines, appended, new_key
from queen.cli.class_cap import ClassCapType
from queen.cli.private_files import replace_private
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, OFF
from queen.owners import require_account_id


@click.command(
    epilog="""\b
Examples:
  queen accounts new acme
  queen accounts new acme-batch --group acme --budget 300 --file accounts.yaml

The key goes to stdout, once; only its SHA-256 is kept, in the lines to add.
"""
)
@click.argument("account_id", metavar="ID")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    help="How its flagged queries are answered.  [default: the service's]",
)
@click.option("--group", help="Name that all accounts of one customer share.")
@click.option(
    "--budget",
    type=click.IntRange(1, 2**32 - 1),
    help="Records of a class before it is crossed.  [default: the service's]",
)
@click.option(
    "--breadth",
    type=click.IntRange(1, 2**32 - 1),
    help="Crossed classes at which it is over its budget.  [default: the service's]",
)
@click.option(
    "--class-cap",
    type=ClassCapType(),
    help="Budgets of one class at which it is over as well.  [default: the service's]",
)
@click.option("--file", type=click.Path(path_type=Path), help="accounts.yaml to append to.")
def new(account_id: str, file: Path | None, **policy: Any) -> None:
    """Make an account ID: print its key once, and the lines for accounts.yaml."""
    require_account_id(account_id)
    if policy["class_cap"] == CAP_OFF:
        policy["class_cap"] = OFF
    key = new_key()
    if file is not None:
        replace_private(file, appended(file, account_id, key, **policy).encode())
        click.echo(f"account '{account_id}' is in {file}; its key, shown once:", err=True)
    else:
        click.echo("add to accounts.yaml:", err=True)
        click.echo(account_lines(account_id, key, **policy), err=True)
        click.echo("its key, shown once:", err=True)
    click.echo(key)
