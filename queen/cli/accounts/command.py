"""`queen accounts`: make accounts, see what they have spent, change it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from queen.bundle import Bundle, open_bundle
from queen.cli.accounts.acts import COMMANDS
from queen.cli.accounts.admin_client import ClassRecords, Ledger, Spent
from queen.cli.accounts.admin_reach import accounts_option, asking, reaching
from queen.cli.accounts.file import account_lines, appended, new_key
from queen.cli.accounts.links import links
from queen.cli.accounts.policies import Policies, find_policies
from queen.cli.private_files import replace_private
from queen.cli.state import StateFolder
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.owners import require_account_id

_BAR = 20


@click.group()
def command() -> None:
    """Make accounts, see what they have spent, change it."""


@command.command(
    epilog="""\b
Examples:
  queen accounts new acme
  queen accounts new acme-batch --group acme --budget 300 --file accounts.yaml

The key goes to stdout, once; only its SHA-256 is kept, in the lines to add.
"""
)
@click.argument("account_id", metavar="ID")
@click.option("--profile", type=click.Choice([one.value for one in Profile]), help="Its profile.")
@click.option("--group", help="Accounts of one customer have one group.")
@click.option("--budget", type=click.IntRange(1, 2**32 - 1), help="Its budget, in records a class.")
@click.option("--file", type=click.Path(path_type=Path), help="accounts.yaml to append to.")
def new(account_id: str, file: Path | None, **policy: Any) -> None:
    """Make an account ID: print its key once, and the lines for accounts.yaml."""
    require_account_id(account_id)
    key = new_key()
    if file is not None:
        replace_private(file, appended(file, account_id, key, **policy).encode())
        click.echo(f"account '{account_id}' is in {file}; its key, shown once:", err=True)
    else:
        click.echo("add to accounts.yaml:", err=True)
        click.echo(account_lines(account_id, key, **policy), err=True)
        click.echo("its key, shown once:", err=True)
    click.echo(key)


@command.command("list")
@reaching
@accounts_option
def list_accounts(admin: str | None, state: Path, accounts: Path | None) -> None:
    """List the accounts and groups that have a ledger, with what they have spent.

    Each is measured against its own budget in accounts.yaml, or the service's default.
    """
    policies = find_policies(accounts, admin, state)
    with asking(admin, state) as client:
        found = list(client.accounts(policies.budgets if policies else {}))
    if found:
        Console().print(spent_table(found, policies))
    else:
        click.echo("no account has a ledger yet", err=True)


@command.command(
    epilog="""\b
Examples:
  queen accounts show local
  queen accounts show acme --plot acme.png
  queen accounts show 'group acme'

The ledger of a group is under the id `group NAME`.
"""
)
@click.argument("account_id", metavar="ID")
@reaching
@accounts_option
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: of `queen up`]")
@click.option("--plot", type=click.Path(path_type=Path), help="PNG to draw the covered discs in.")
def show(
    account_id: str,
    admin: str | None,
    state: Path,
    accounts: Path | None,
    bundle: Path | None,
    plot: Path | None,
) -> None:
    """Show the ledger of account ID, class by class, against its own budget."""
    policies = find_policies(accounts, admin, state)
    with asking(admin, state) as client:
        ledger = client.ledger(account_id, policies.budgets.get(account_id, 0) if policies else 0)
    opened = _bundle(bundle, state, ledger, is_needed=plot is not None)
    names = opened.manifest.class_names if opened else ()
    Console().print(ledger_table(ledger, names, policies))
    if plot is not None and opened is not None:
        _plot(plot, opened, ledger)


def spent_table(found: Sequence[Spent], policies: Policies | None = None) -> Table:
    """One line an account or group: how much of its budget is spent, its meter and its policy."""
    table = Table(title=f"{len(found)} ledger{'s' * (len(found) != 1)}", title_justify="left")
    table.add_column("account", overflow="fold")
    table.add_column("records", justify="right")
    table.add_column("budget", justify="right")
    table.add_column("spent, in the fullest class")
    table.add_column("crossed classes")
    table.add_column("off-distribution", justify="right")
    if policies is not None:
        table.add_column("policy", overflow="fold")
    for one in found:
        crossed = ", ".join(map(str, one.crossed)) or "none"
        is_reversed = one.crossed and not (policies and policies.is_exempt(one.account_id))
        words = [] if policies is None else [Text(policies.words(one.account_id))]
        table.add_row(
            Text(one.account_id),
            str(one.records),
            _budget(one, policies),
            bar(one.share),
            Text(crossed, "red" if is_reversed else "dim"),
            level(one.off_distribution),
            *words,
        )
    return table


def ledger_table(ledger: Ledger, names: Sequence[str], policies: Policies | None = None) -> Table:
    """One line a class: records, cqs, threshold T and how much of T is spent."""
    spent = ledger.spent
    policy = policies.words(spent.account_id) if policies else ""
    facts = (
        f"bundle {ledger.bundle_digest[:12]}",
        f"T of a budget of {_budget(spent, policies)}",
        f"off-distribution meter {level(spent.off_distribution)}",
        policy,
    )
    table = Table(
        title=f"{spent.account_id}: {spent.records} records",
        title_justify="left",
        caption="\n".join(filter(None, facts)),
        caption_justify="left",
    )
    for title in ("class", "records", "cqs", "T"):
        table.add_column(title, justify="left" if title == "class" else "right")
    table.add_column("spent")
    for one in sorted(ledger.classes, key=lambda each: each.label):
        name = names[one.label] if one.label < len(names) else ""
        table.add_row(
            Text(f"{one.label} {name}".strip()),
            str(_records(one, ledger)),
            f"{one.cqs:.4g}",
            f"{one.threshold:.4g}",
            bar(one.cqs / one.threshold if one.threshold > 0 else float("inf")),
        )
    return table


def _budget(spent: Spent, policies: Policies | None) -> str:
    """Records of a class, and whether that is the service's default."""
    own = policies is not None and spent.account_id in policies.budgets
    return str(spent.budget) if own else f"{spent.budget or ''} (default)".strip()


def bar(share: float) -> Text:
    """A share of a budget as a bar; full and red from 1 on."""
    filled = round(_BAR * min(share, 1.0))
    color = "red" if share > 1 else "yellow" if share > 0.8 else "green"
    text = Text("█" * filled, color).append("░" * (_BAR - filled), "dim")
    return text.append(f" {share:.0%}")


def level(share: float) -> Text:
    """The off-distribution meter as a share of its limit, marked "off" from 1 on."""
    # Not above 100 %: what is stored is the limit, rounded up; below it never 100 %.
    text = f"{int(100 * min(share, 1.0))}%"
    return Text(f"off {text}", "red") if share >= 1 else Text(text, "yellow" if share > 0.8 else "")


def _records(one: ClassRecords, ledger: Ledger) -> int:
    """Records of a class: the wire carries embeddings of all classes at one width."""
    total = sum(each.embeddings.size for each in ledger.classes)
    width = total // max(ledger.spent.records, 1)
    return one.embeddings.size // max(width, 1)


def _bundle(given: Path | None, state: Path, ledger: Ledger, *, is_needed: bool) -> Bundle | None:
    """The bundle of the ledger, for names and regions; None if it is neither known nor needed."""
    folder = StateFolder(state)
    path = given or (Path(folder.read_up()["bundle"]) if folder.up.exists() else None)
    if path is None:
        if is_needed:
            raise ConfigError("which bundle? Give --bundle, whose regions the plot shows")
        return None
    opened = open_bundle(path)
    if opened.digest == ledger.bundle_digest:
        return opened
    if given is None and not is_needed:
        return None
    raise ConfigError(
        f"{path}: expected bundle {ledger.bundle_digest[:12]}, the one in service, "
        f"got {opened.digest[:12]}"
    )


def _plot(path: Path, bundle: Bundle, ledger: Ledger) -> None:
    # Matplotlib is large, and no other command of this group needs it.
    from queen.cli.accounts.coverage_plot import draw_coverage  # noqa: PLC0415

    draw_coverage(path, bundle, ledger)
    click.echo(f"drawn in {os.fspath(path)}", err=True)


for _act in (links, *COMMANDS):
    command.add_command(_act)
