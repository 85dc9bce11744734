"""`queen accounts reset | delete | exempt | export | import | watch | audit`."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format
from rich.console import Console
from rich.table import Table
from rich.text import Text

from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.admin_reach import admin_ports, asking, reaching
from queen.cli.accounts.watching import Lost, watch_all
from queen.cli.private_files import replace_private
from queen.cli.refusal import Refusal


def _operator() -> str:
    """Who runs the command; empty where the system does not say, so that the service asks."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _mandated(function: Any) -> Any:
    """Options of the commands that change something."""
    for option in (
        click.option("--actor", default=_operator, help="Who asks.  [default: the system's user]"),
        click.option("--reason", required=True, help="Why; the audit keeps it."),
    ):
        function = option(function)
    return function


@click.command(
    epilog="""\b
Examples:
  queen accounts reset acme --reason 'false alarm, ticket 812'
  queen accounts reset 'group acme' --reason 'new contract'
"""
)
@click.argument("account_id", metavar="ID")
@_mandated
@reaching
def reset(account_id: str, actor: str, reason: str, admin: str | None, state: Path) -> None:
    """Empty the ledgers and the meter of account ID: its budgets are whole again."""
    with asking(admin, state) as client:
        records = client.reset(account_id, actor, reason)
    click.echo(f"'{account_id}' starts anew; it had {records} records", err=True)


@click.command()
@click.argument("account_id", metavar="ID")
@_mandated
@click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")
@reaching
def delete(
    account_id: str, actor: str, reason: str, yes: bool, admin: str | None, state: Path
) -> None:
    """Erase all that is recorded of account ID, under every bundle."""
    if not yes:
        click.confirm(f"erase all records of '{account_id}' for good?", abort=True, err=True)
    with asking(admin, state) as client:
        answer = client.delete(account_id, actor, reason)
    click.echo(
        f"'{account_id}' is erased: {answer.records_before} records under "
        f"{answer.geometries} geometries; its key works on until accounts.yaml drops it",
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
@_mandated
@click.option("--end", "is_ending", is_flag=True, help="The exemption ends.")
@reaching
def exempt(
    account_id: str, actor: str, reason: str, is_ending: bool, admin: str | None, state: Path
) -> None:
    """Audit that account ID is exempt, and say what to write into accounts.yaml.

    The accounts file alone decides how an account is answered: the exemption holds on every
    replica once the file says so.
    """
    with asking(admin, state) as client:
        records = client.audit_exemption(account_id, not is_ending, actor, reason)
    said = "the end of the exemption is" if is_ending else "the exemption is"
    click.echo(f"{said} in the audit; '{account_id}' has {records} records", err=True)
    click.echo("now write into the account's entry in accounts.yaml:", err=True)
    click.echo(f"exempt: {str(not is_ending).lower()}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--account", "accounts", multiple=True, metavar="ID", help="Only this; repeatable.")
@reaching
def export(file: Path, accounts: tuple[str, ...], admin: str | None, state: Path) -> None:
    """Write all records of all accounts to FILE, one JSON line an account."""
    with asking(admin, state) as client:
        found = list(client.export(accounts))
    lines = [json_format.MessageToJson(one, indent=None) for one in found]
    replace_private(file, "".join(f"{line}\n" for line in lines).encode())
    click.echo(f"{len(found)} accounts are in {file}; treat it as personal data", err=True)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_mandated
@reaching
def import_accounts(file: Path, actor: str, reason: str, admin: str | None, state: Path) -> None:
    """Add the records in FILE, an export, to those that are there, as far as they are novel."""
    accounts = list(_read_export(file))
    with asking(admin, state) as client:
        answer = client.import_accounts(accounts, actor, reason)
    click.echo(
        f"{answer.accounts} accounts: {answer.records_added} records added, "
        f"{answer.records_covered} covered by others",
        err=True,
    )


def _read_export(file: Path) -> Iterator[pb.AccountRecords]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json_format.Parse(line, pb.AccountRecords())
            except (json_format.ParseError, UnicodeError) as error:
                raise Refusal(
                    f"{file}, line {number}: expected an account as 'queen accounts export' "
                    "writes it, got another text"
                ) from error


@click.command()
@reaching
def watch(admin: str | None, state: Path) -> None:
    """Print a line when an account crosses a threshold or is off-distribution, until Ctrl-C.

    Of several replicas of `queen up` all are watched, also one that is started again.
    """
    for news in watch_all(admin_ports(admin, state)):
        if isinstance(news, pb.WatchCrossingsResponse):
            click.echo(event_line(news))
        elif isinstance(news, Lost):
            click.echo(f"{news.name} is not watched: {news.problem}", err=True)
        else:
            click.echo(f"{news.name} is watched", err=True)


def event_line(event: pb.WatchCrossingsResponse) -> str:
    """One event in words."""
    if event.missed:
        return f"{event.missed} events were missed: this terminal did not read in time"
    when = datetime.fromtimestamp(event.time_unix_nanos / 1e9, UTC).isoformat(timespec="seconds")
    # repr: an id may hold what a terminal would obey.
    who = repr(event.account_id)
    if event.crossing == pb.CROSSING_THRESHOLD:
        return f"{when} {who} class {event.label}: cqs {event.level:.4g} over T {event.limit:.4g}"
    return f"{when} {who} is off-distribution: {event.level:.4g} of {event.limit:.4g}"


@click.command()
@reaching
def audit(admin: str | None, state: Path) -> None:
    """List who reset, deleted or imported what, and why; accounts are named by their hash."""
    with asking(admin, state) as client:
        entries = list(client.audit())
    if not entries:
        click.echo("nothing was changed yet", err=True)
        return
    table = Table(title=f"{len(entries)} entries", title_justify="left")
    for title in ("time", "actor", "action", "account hash", "records before", "reason"):
        table.add_column(title, overflow="fold")
    for one in entries:
        words = (one.time, one.actor, one.action, one.account_hash, str(one.records_before))
        table.add_row(*(Text(word) for word in (*words, one.reason)))
    Console().print(table)


COMMANDS = (reset, delete, exempt, export, import_accounts, watch, audit)
