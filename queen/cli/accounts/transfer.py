"""`queen accounts export | import`."""

from __future__ import annotations

from pathlib import Path

import click

from queen.cli.accounts.changes import reason_option
from queen.cli.accounts.deployment import Deployment, deployment_options
from queen.cli.private_files import replace_private
from queen.cli.refusal import Refusal
from queen.errors import InvalidQuery


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--account",
    "account_ids",
    multiple=True,
    metavar="ID",
    help="Export this account only; may be repeated.",
)
@deployment_options
def export(file: Path, account_ids: tuple[str, ...], deployment: Deployment) -> None:
    """Write all records of all accounts to FILE, one JSON line an account."""
    with deployment.client() as client:
        lines = list(client.export_lines(account_ids))
    replace_private(file, "".join(f"{line}\n" for line in lines).encode())
    click.echo(f"{len(lines)} accounts are in {file}; treat it as personal data", err=True)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@reason_option
@deployment_options
def import_accounts(file: Path, reason: str, deployment: Deployment) -> None:
    """Add the novel records in FILE, an export, to the ledgers of the accounts."""
    try:
        with file.open(encoding="utf-8") as lines, deployment.client() as client:
            imported = client.import_lines(lines, reason)
    except InvalidQuery as error:
        raise Refusal(f"{file}, {error}") from error
    except UnicodeError as error:
        raise Refusal(f"{file}: expected a text in UTF-8, got other bytes") from error
    click.echo(
        f"{imported.accounts} accounts: {imported.records_added} records added, "
        f"{imported.records_covered} covered by others",
        err=True,
    )
