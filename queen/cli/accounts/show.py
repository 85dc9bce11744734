"""`queen accounts list | show`."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console

from queen.bundle import Bundle, open_bundle
from queen.cli.accounts.admin_values import Account
from queen.cli.accounts.deployment import Deployment, accounts_option, deployment_options
from queen.cli.accounts.tables import account_table, accounts_table
from queen.cli.state import StateFolder
from queen.errors import ConfigError
from queen.method.crossing import UNSTATED


@click.command("list")
@deployment_options
@accounts_option
def list_accounts(deployment: Deployment, accounts: Path | None) -> None:
    """List the accounts and groups that have a ledger, and how much of a budget each has spent.

    Each is judged by its own policy in accounts.yaml, or the service's default.
    """
    policies = deployment.policies(accounts)
    with deployment.client() as client:
        summaries = list(client.accounts(policies.crossings if policies else {}))
    if summaries:
        Console().print(accounts_table(summaries, policies))
    else:
        click.echo("no account has a ledger yet", err=True)


@click.command(
    epilog="""\b
Examples:
  queen accounts show local
  queen accounts show acme --plot acme.png
  queen accounts show 'group acme'

A group is shown under the id `group NAME`.
"""
)
@click.argument("account_id", metavar="ID")
@deployment_options
@accounts_option
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: of `queen up`]")
@click.option("--plot", type=click.Path(path_type=Path), help="PNG to draw the covered discs in.")
def show(
    account_id: str,
    deployment: Deployment,
    accounts: Path | None,
    bundle: Path | None,
    plot: Path | None,
) -> None:
    """Show account ID, class by class, against its own policy."""
    policies = deployment.policies(accounts)
    crossing = policies.crossings.get(account_id, UNSTATED) if policies else UNSTATED
    with deployment.client() as client:
        account = client.account(account_id, crossing)
    opened = _bundle(bundle, deployment.state, account, is_needed=plot is not None)
    names = opened.manifest.class_names if opened else ()
    Console().print(account_table(account, names, policies))
    if plot is not None and opened is not None:
        _plot(plot, opened, account)


def _bundle(given: Path | None, state: Path, account: Account, *, is_needed: bool) -> Bundle | None:
    """The bundle in service, for names and regions; None if it is neither known nor needed."""
    folder = StateFolder(state)
    path = given or (Path(folder.read_up()["bundle"]) if folder.up.exists() else None)
    if path is None:
        if is_needed:
            raise ConfigError("which bundle? Give --bundle, whose regions the plot shows")
        return None
    opened = open_bundle(path)
    if opened.digest == account.bundle_digest:
        return opened
    if given is None and not is_needed:
        return None
    raise ConfigError(
        f"{path}: expected bundle {account.bundle_digest[:12]}, the one in service, "
        f"got {opened.digest[:12]}"
    )


def _plot(path: Path, bundle: Bundle, account: Account) -> None:
    # Matplotlib is large, and no other command of this group needs it.
    from queen.cli.accounts.coverage_plot import draw_coverage  # noqa: PLC0415 - loads Matplotlib

    draw_coverage(path, bundle, account)
    click.echo(f"drawn in {os.fspath(path)}", err=True)
