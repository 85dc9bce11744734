"""`queen accounts new | new-key`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from queen.cli.accounts.accounts_file import NewAccount, appended, key_fields, new_key
from queen.cli.class_cap import ClassCapType
from queen.cli.private_files import replace_private
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF, OFF
from queen.owners import require_account_id
from queen.printable import printable
from queen.serving.accounts import MOST_KEYS, read_accounts
from queen.serving.auth import key_digest
from queen.serving.identity.lookalikes import look_alikes

DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command(
    epilog="""\b
Examples:
  queen accounts new acme
  queen accounts new acme-batch --group acme --budget 300 --file accounts.yaml
  queen accounts new trial --expires 2027-01-31 --tier trial
  queen accounts new web --subject client-7 --file accounts.yaml
  queen accounts new gateway --san gateway.acme.example --san spiffe://acme/gateway

The key goes to stdout, once; only its SHA-256 is kept, in the lines to add. An account with a
subject or a certificate gets no key.
"""
)
@click.argument("account_id", metavar="ID")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    help="How its flagged queries are answered.  [default: the service's]",
)
@click.option("--group", help="Name that all accounts of one customer share.")
@click.option("--tier", help="Tier of the file, for what is not stated here.")
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
@click.option("--expires", type=DAY, help="Day from which the key no longer works, in UTC.")
@click.option("--subject", help="Name of the account in tokens, in place of a key.")
@click.option("--san", multiple=True, help="Name in its client certificate, in place of a key.")
@click.option("--file", type=click.Path(path_type=Path), help="accounts.yaml to append to.")
def new(account_id: str, file: Path | None, expires: datetime | None, **policy: Any) -> None:
    """Make an account ID: print its key once, and the lines for accounts.yaml."""
    require_account_id(account_id)
    if policy["class_cap"] == CAP_OFF:
        policy["class_cap"] = OFF
    policy["san"] = list(policy["san"])
    key = None if policy["subject"] or policy["san"] else new_key()
    if key is None and expires is not None:
        raise ConfigError("--expires is of a key; tokens and certificates have an expiry already")
    account = NewAccount(account_id, key, None if expires is None else _moment(expires), policy)
    told = "; its key, shown once:" if key else ""
    if file is not None:
        replace_private(file, appended(file, account).encode(), keeps_mode=True)
        click.echo(f"account '{printable(account_id)}' is in {file}{told}", err=True)
        _warn_of_look_alikes(file)
    else:
        click.echo("add to accounts.yaml:", err=True)
        click.echo(account.lines(), err=True)
        if key:
            click.echo("its key, shown once:", err=True)
    if key:
        click.echo(key)


@click.command(
    "new-key",
    epilog="""\b
Example:
  queen accounts new-key acme --file accounts.yaml --days 14

Both keys work until the old one expires: put the lines into the entry, give the new key to the
caller, and remove the line of the old key once nobody uses it.
""",
)
@click.argument("account_id", metavar="ID")
@click.option("--file", type=click.Path(path_type=Path), required=True, help="accounts.yaml.")
@click.option(
    "--days",
    type=click.IntRange(0, 3650),
    default=7,
    show_default=True,
    help="Days for which the old key works beside the new one.",
)
def second_key(account_id: str, file: Path, days: int) -> None:
    """Make a second key for account ID: print it once, and the lines for its entry."""
    entry = next((e for e in read_accounts(file).accounts if e.id == account_id), None)
    if entry is None:
        raise ConfigError(f"{file}: expected an account '{printable(account_id)}', got none")
    if len(entry.all_keys) >= MOST_KEYS:
        raise ConfigError(
            f"{file}: '{printable(account_id)}' has {MOST_KEYS} keys already; remove one first"
        )
    key, end = new_key(), datetime.now(UTC) + timedelta(days=days)
    keys = [
        key_fields(old.sha256, _moment(end if old.expires is None else min(end, old.expires)))
        for old in entry.all_keys
    ]
    click.echo(f"the keys of '{printable(account_id)}', in place of those in {file}:", err=True)
    click.echo("    keys:", err=True)
    for fields in (*keys, key_fields(key_digest(key))):
        click.echo(f"      - {json.dumps(fields)}", err=True)
    click.echo("the new key, shown once:", err=True)
    click.echo(key)


def _moment(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _warn_of_look_alikes(file: Path) -> None:
    """Say which groups of a file a reader takes for one another."""
    for names in look_alikes(read_accounts(file).group_names):
        listed = ", ".join(f"'{printable(name)}'" for name in names)
        click.echo(f"these groups look alike and share no budget: {listed}", err=True)
