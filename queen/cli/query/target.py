"""The server that `queen query` asks, and the credential for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from queen.cli.private_files import read_key
from queen.cli.state import StateFolder
from queen.serving.ports.pem import PemFiles

KEY_VARIABLE = "QUEEN_API_KEY"
DEFAULT_ENDPOINT = "127.0.0.1:8001"


@dataclass(frozen=True)
class Target:
    """An endpoint, the model to ask (empty: the model that it serves), and the account's key."""

    endpoint: str
    model: str
    key: str | None
    tls: PemFiles | None = None
    """PEM files of the connection; None for plaintext."""


def stated_key(file: Path | None) -> str | None:
    """The key in a file, or else in the environment; None if neither is given.

    No flag holds a key: every user of a machine can read the command lines of its processes.
    """
    return read_key(file) if file is not None else os.environ.get(KEY_VARIABLE) or None


def find_target(
    state: StateFolder,
    endpoint: str | None,
    model: str | None,
    key: str | None,
    tls: PemFiles | None = None,
) -> Target:
    """The target that the flags name, completed from the deployment that runs in `state`.

    The key of that deployment is sent to its own endpoint only. Without a model, the server
    is asked which one it serves.
    """
    local: dict[str, Any] = state.read_up() if state.up.exists() else {}
    address = endpoint or local.get("inference") or DEFAULT_ENDPOINT
    is_local = address == local.get("inference")
    if not key and is_local and state.local_key.exists():
        key = read_key(state.local_key)
    return Target(address, model or "", key or None, tls)
