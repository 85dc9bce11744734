"""How the commands of `queen accounts` reach the admin port, and what they say if they cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import grpc

from queen.cli.accounts.admin_client import AdminClient
from queen.cli.refusal import Refusal, rpc_sentence
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.errors import ConfigError

LISTEN_SECONDS = 1.0


def reaching(function: Any) -> Any:
    """Options of the commands that ask the admin port."""
    for option in (
        click.option("--admin", metavar="HOST:PORT", help="Admin port.  [default: of `queen up`]"),
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            default=DEFAULT_STATE,
            show_default=True,
            help="State folder of `queen up`.",
        ),
    ):
        function = option(function)
    return function


def accounts_option(function: Any) -> Any:
    """Option of the commands that say what accounts.yaml states of an account."""
    return click.option(
        "--accounts",
        type=click.Path(path_type=Path),
        help="Groups and budgets: accounts.yaml.  [default: of `queen up`, without --admin]",
    )(function)


@contextmanager
def asking(admin: str | None, state: Path) -> Iterator[AdminClient]:
    """A client of the admin port; its errors are one sentence.

    Of several replicas it is the first that listens: each answers for all ledgers.
    """
    addresses = list(admin_ports(admin, state).values())
    address = next(filter(_listens, addresses), addresses[0])
    try:
        with AdminClient(address) as client:
            yield client
    except grpc.RpcError as error:
        raise Refusal(words(error, address)) from error


def admin_ports(admin: str | None, state: Path) -> dict[str, str]:
    """Admin ports by the name of their process, at least one: the one that is given, or all."""
    if admin:
        return {"sensitivity": admin}
    published = StateFolder(state).read_up().get("admins")
    if not published:
        raise ConfigError("which admin port? Give --admin HOST:PORT")
    return dict(published)


def words(error: Any, address: str) -> str:
    """What to say of an error of the admin port."""
    if error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():
        return f"nothing answers at {address}; is `queen up` running?"
    return rpc_sentence(error)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), LISTEN_SECONDS):
            return True
    except OSError:
        return False
