"""`queen accounts reset | delete | exempt | audit`."""

from __future__ import annotations

import click
from rich.console import Console

from queen.cli.accounts.deployment import Deployment, deployment_options
from queen.cli.accounts.tables import audit_table
from queen.printable import printable

reason_option = click.option("--reason", required=True, help="The reason, which the audit keeps.")
"""The option of every command that changes ledgers."""


@click.command(
    epilog="""\b
Examples:
  queen accounts reset acme --reason 'false alarm, ticket 812'
  queen accounts reset 'group acme' --reason 'new contract'
"""
)
@click.argument("account_id", metavar="ID")
@reason_option
@deployment_options
def reset(account_id: str, reason: str, deployment: Deployment) -> None:
    """Empty the ledgers and the meter of account ID: its budgets are whole again."""
    with deployment.client() as client:
        records = client.reset(account_id, reason)
    click.echo(f"'{printable(account_id)}' starts anew; it had {records} records", err=True)


@click.command()
@click.argument("account_id", metavar="ID")
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@deployment_options
def delete(account_id: str, reason: str, yes: bool, deployment: Deployment) -> None:
    """Erase all records of account ID, under every bundle."""
    if not yes:
        click.confirm(
            f"erase all records of '{printable(account_id)}' for good?", abort=True, err=True
        )
    with deployment.client() as client:
        deleted = client.delete(account_id, reason)
    click.echo(
        f"'{printable(account_id)}' is erased: {deleted.records} records under "
        f"{deleted.geometries} geometries; its key works on until accounts.yaml drops it",
        err=True,
    )


@click.command(
    epilog="""\b
Examples:
  queen accounts exempt acme --reason 'load test until Friday, ticket 901'
  queen accounts exempt acme --end --reason 'the load test is over'
"""
)
@click.argument("account_id", metavar="ID")
@reason_option
@click.option("--end", "is_ending", is_flag=True, help="End the exemption.")
@deployment_options
def exempt(account_id: str, reason: str, is_ending: bool, deployment: Deployment) -> None:
    """Put an exemption of account ID into the audit, and print its line for accounts.yaml.

    The accounts file alone decides how an account is answered: the exemption holds on every
    replica once the file says so.
    """
    with deployment.client() as client:
        records = client.audit_exemption(account_id, not is_ending, reason)
    subject = "the end of the exemption is" if is_ending else "the exemption is"
    click.echo(f"{subject} in the audit; '{printable(account_id)}' has {records} records", err=True)
    click.echo("now write into the account's entry in accounts.yaml:", err=True)
    click.echo(f"exempt: {str(not is_ending).lower()}")


@click.command()
@deployment_options
def audit(deployment: Deployment) -> None:
    """List all changes, with actor and reason; accounts are named by their hash."""
    with deployment.client() as client:
        entries = list(client.audit())
    if not entries:
        click.echo("nothing was changed yet", err=True)
        return
    Console().print(audit_table(entries))
