"""`queen accounts operator`: who may see and change the ledgers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from queen.cli.accounts.accounts_file import new_key
from queen.cli.private_files import replace_private
from queen.errors import ConfigError
from queen.serving.ports.operators import OPERATOR_NAME, Role, operator_digest, read_operators


@click.command(
    epilog="""\b
Examples:
  queen accounts operator alice --role act --file operators.yaml
  queen accounts operator dashboard --file operators.yaml > dashboard.key

The key goes to stdout, once; only its SHA-256 is kept, in the lines to add.
"""
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.READ.value,
    show_default=True,
    help="Calls that change nothing, or all.",
)
@click.option("--file", type=click.Path(path_type=Path), help="operators.yaml to append to.")
def operator(name: str, role: str, file: Path | None) -> None:
    """Make an operator NAME: print a key once, and the lines for operators.yaml."""
    if not re.fullmatch(OPERATOR_NAME, name):
        raise ConfigError(
            "expected a name of 1 to 64 letters, digits and . _ @ -, the first a letter or a "
            f"digit, got {name!r}"
        )
    key = new_key()
    lines = operator_lines(name, Role(role), key)
    if file is None:
        click.echo(f"add to operators.yaml:\n{lines}", err=True)
    else:
        replace_private(file, _appended(file, name, lines).encode(), keeps_mode=True)
        click.echo(f"operator '{name}' is in {file}; its key, shown once:", err=True)
    click.echo(key)


def operator_lines(name: str, role: Role, key: str) -> str:
    """The YAML list entry of one operator, with the key's digest and not the key."""
    fields = {"name": name, "role": role.value, "key_sha256": operator_digest(key)}
    # A JSON text is valid YAML.
    lines = [f"{field}: {json.dumps(value)}" for field, value in fields.items()]
    return "  - " + "\n    ".join(lines) + "\n"


def _appended(file: Path, name: str, lines: str) -> str:
    if not file.exists():
        return f"operators:\n{lines}"
    if name in [entry.name for entry in read_operators(file).operators]:
        raise ConfigError(f"{file} has an operator '{name}' already; choose another name")
    before = file.read_text(encoding="utf-8")
    return before + ("" if before.endswith("\n") else "\n") + lines
