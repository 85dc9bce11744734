"""The secret, account and operator that `queen up` makes where a state folder has none."""

from __future__ import annotations

import secrets

from queen_perturber.secret import read_secret

from queen.cli.accounts.accounts_file import account_lines, new_key
from queen.cli.operators.new import operator_lines
from queen.cli.private_files import read_key, write_private
from queen.cli.state import StateFolder
from queen.serving.ports.operators import Role

SECRET_BYTES = 32
LOCAL_ACCOUNT = "local"
LOCAL_OPERATOR = "local"


def ensure_secret(folder: StateFolder) -> None:
    """Make the secret if there is none; ConfigError for a secret that is too short."""
    if not folder.secret.exists():
        write_private(folder.secret, secrets.token_bytes(SECRET_BYTES))
    read_secret(folder.secret, hint="restore it, or remove it to have a new one made")


def ensure_local_account(folder: StateFolder) -> None:
    """Make an accounts file with one account and keep its key beside it, once."""
    if folder.accounts.exists():
        return
    if not folder.local_key.exists():
        write_private(folder.local_key, f"{new_key()}\n".encode())
    lines = account_lines(LOCAL_ACCOUNT, read_key(folder.local_key))
    write_private(folder.accounts, f"accounts:\n{lines}".encode())


def ensure_local_operator(folder: StateFolder) -> None:
    """Make an operators file with one operator, who may act, and keep the key beside it, once."""
    if folder.operators.exists():
        return
    if not folder.operator_key.exists():
        write_private(folder.operator_key, f"{new_key()}\n".encode())
    lines = operator_lines(LOCAL_OPERATOR, Role.ACT, read_key(folder.operator_key))
    write_private(folder.operators, f"operators:\n{lines}".encode())
