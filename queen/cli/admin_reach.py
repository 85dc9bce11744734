"""How the commands of `queen accounts` reach the admin port, and what they say if they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import grpc

from queen.cli.admin_client import AdminClient
from queen.cli.refusal import Refusal, rpc_sentence
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.errors import ConfigError


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


@contextmanager
def asking(admin: str | None, state: Path) -> Iterator[AdminClient]:
    """A client of the admin port; its errors are one sentence."""
    address = admin or StateFolder(state).read_up().get("admin")
    if not address:
        raise ConfigError("which admin port? Give --admin HOST:PORT")
    try:
        with AdminClient(str(address)) as client:
            yield client
    except grpc.RpcError as error:
        raise Refusal(_words(error, str(address))) from error


def _words(error: Any, address: str) -> str:
    if error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():
        return f"nothing answers at {address}; is `queen up` running?"
    return rpc_sentence(error)
