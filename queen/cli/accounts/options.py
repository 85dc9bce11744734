"""The options of the commands that change ledgers: the operator, and the reason."""

from __future__ import annotations

import functools
import getpass
from typing import Any

import click

from queen.cli.accounts.admin_values import Mandate


def mandate_options(function: Any) -> Any:
    """Adds --actor and --reason; the command gets them as `mandate`."""

    @click.option(
        "--actor", default=_system_user, help="Who makes the change.  [default: the system's user]"
    )
    @click.option("--reason", required=True, help="Why; the audit keeps it.")
    @functools.wraps(function)
    def command(*args: Any, actor: str, reason: str, **rest: Any) -> Any:
        return function(*args, mandate=Mandate(actor, reason), **rest)

    return command


def _system_user() -> str:
    """The user who runs the command; empty if the system has no name, which the service refuses."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
