"""The deployment that a command asks, and the options that name it."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import grpc

from queen.cli import options
from queen.cli.accounts.accounts_file import Policies, policies_of
from queen.cli.accounts.admin_client import AdminClient, Credential
from queen.cli.private_files import read_key
from queen.cli.refusal import Refusal, rpc_sentence
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.errors import ConfigError
from queen.serving.accounts import read_accounts
from queen.serving.ports.pem import PemFiles, read_pems
from queen.serving.ports.place import UNIX, listens_at

KEY_FILE_VARIABLE = "QUEEN_OPERATOR_KEY_FILE"
LISTEN_SECONDS = 1.0
"""Longest wait for an admin port to accept a connection."""


@dataclass(frozen=True)
class Deployment:
    """An admin port by its address, or else the `queen up` of a state folder."""

    admin: str | None
    state: Path
    key_file: Path | None = None
    """File with the key of the operator; by default that of `queen up`, for its own ports."""
    tls: PemFiles | None = None
    """PEM files of the connection; None for plaintext."""

    @property
    def credential(self) -> Credential:
        """The credential for the admin ports; a key of `queen up` is sent to its own ports only."""
        file, own = self.key_file, StateFolder(self.state).operator_key
        if file is None and not self.admin and own.exists():
            file = own
        tls = read_pems(self.tls) if self.tls else None
        return Credential(read_key(file) if file else None, tls)

    @property
    def admin_ports(self) -> dict[str, str]:
        """Admin ports by the name of their process: the given one, or all of `queen up`."""
        if self.admin:
            return {"sensitivity": self.admin}
        published = StateFolder(self.state).read_up().get("admins")
        if not published:
            raise ConfigError("which admin port? Give --admin HOST:PORT")
        return dict(published)

    @contextmanager
    def client(self) -> Iterator[AdminClient]:
        """A client of the first admin port that listens; its errors are single sentences.

        Any replica may be asked: every replica answers for all ledgers.
        """
        addresses = list(self.admin_ports.values())
        address = next(filter(_listens, addresses), addresses[0])
        try:
            with AdminClient(address, self.credential) as client:
                yield client
        except grpc.RpcError as error:
            raise Refusal(error_sentence(error, address)) from error

    def policies(self, given: Path | None) -> Policies | None:
        """Policies of the accounts file that was given, or else of that of `queen up`.

        None where there is no file. Raises ConfigError if the given file is wrong; if the file of
        `queen up` is wrong, a line says so, and the accounts are shown without policies.
        """
        if given is not None:
            return policies_of(read_accounts(given))
        published = self._published_accounts()
        if not published:
            return None
        try:
            return policies_of(read_accounts(Path(published)))
        except (ConfigError, OSError) as error:
            click.echo(f"measured against the service's default budget: {error}", err=True)
            return None

    def _published_accounts(self) -> str | None:
        folder = StateFolder(self.state)
        # An operator who names an admin port may mean another deployment than the folder's.
        if self.admin or not folder.up.exists():
            return None
        return folder.read_up().get("accounts")


def accounts_option(function: Any) -> Any:
    """Adds the option of the commands that show policies."""
    return click.option(
        "--accounts",
        type=click.Path(path_type=Path),
        help="accounts.yaml, with groups and budgets.  [default: of `queen up`, without --admin]",
    )(function)


def deployment_options(function: Any) -> Any:
    """Adds the options that name a deployment; the command gets it as `deployment`."""

    @click.option("--admin", metavar="HOST:PORT", help="Admin port.  [default: of `queen up`]")
    @click.option(
        "--operator-key",
        "key_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar=KEY_FILE_VARIABLE,
        help=f"File with your key.  [env: {KEY_FILE_VARIABLE}; default: of `queen up`]",
    )
    @options.tls
    @click.option(
        "--state",
        type=click.Path(path_type=Path),
        default=DEFAULT_STATE,
        show_default=True,
        help="State folder of `queen up`.",
    )
    @functools.wraps(function)
    def command(
        *args: Any,
        admin: str | None,
        state: Path,
        key_file: Path | None,
        tls: PemFiles | None,
        **rest: Any,
    ) -> Any:
        return function(*args, deployment=Deployment(admin, state, key_file, tls), **rest)

    return command


def error_sentence(error: Any, address: str) -> str:
    """An error of the admin port as a sentence."""
    if error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():
        return f"nothing answers at {address}; is `queen up` running?"
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return f"{rpc_sentence(error)}; give --operator-key FILE or {KEY_FILE_VARIABLE}"
    return rpc_sentence(error)


def _listens(address: str) -> bool:
    if address.startswith(UNIX):
        return listens_at(Path(address.removeprefix(UNIX)))
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), LISTEN_SECONDS):
            return True
    except OSError:
        return False
