"""The state folder of `queen up`: ledgers, secret, keys and logs, which outlive the processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from queen.cli.private_files import make_private_folder
from queen.errors import ConfigError
from queen.serving.ports.place import LONGEST_SOCKET

DEFAULT_STATE = Path(".queen")
KEPT_LOGS = 3
LONGEST_SOCKET_NAME = len("/sensitivity-63-admin.sock")


@dataclass(frozen=True)
class StateFolder:
    """Paths of the files in the folder, and the rules for them."""

    path: Path

    @property
    def ledger(self) -> Path:
        """SQLite file of the account ledgers."""
        return self.path / "ledger.sqlite3"

    @property
    def secret(self) -> Path:
        """Key of the perturber's keyed draws."""
        return self.path / "secret"

    @property
    def retiring_secret(self) -> Path:
        """Key before the one in force, missing but for the time of a change."""
        return self.path / "retiring-secret"

    @property
    def accounts(self) -> Path:
        """Accounts file, made where the operator gives none."""
        return self.path / "accounts.yaml"

    @property
    def local_key(self) -> Path:
        """Key of the account `local` in `accounts`."""
        return self.path / "local.key"

    @property
    def operators(self) -> Path:
        """Operators of the admin API, made with one whose key is `operator_key`."""
        return self.path / "operators.yaml"

    @property
    def operator_key(self) -> Path:
        """Key of the operator `local` in `operators`."""
        return self.path / "operator.key"

    @property
    def up(self) -> Path:
        """Addresses and process ids of the deployment that runs here."""
        return self.path / "up.json"

    @property
    def lock(self) -> Path:
        """File that one `queen up` at a time holds; a folder with it is one of `queen up`."""
        return self.path / "up.lock"

    @property
    def decisions(self) -> Path:
        """Decision records of the front door."""
        return self.path / "decisions.jsonl"

    def log(self, service: str) -> Path:
        """Log of a service."""
        return self.path / "logs" / f"{service}.log"

    def ready_file(self, service: str) -> Path:
        """File that a service writes once it serves, with its addresses."""
        return self.path / "ready" / f"{service}.json"

    def socket(self, process: str) -> Path:
        """Unix socket that a process which is not the front door listens on."""
        return self.sockets / f"{process}.sock"

    @property
    def sockets(self) -> Path:
        """Folder of the sockets: in this folder, or in the system's folder for temporary files.

        The system allows a socket a short path only. The name follows from this folder, so that a
        replica keeps its name over a restart.
        """
        own = self.path / "sockets"
        if "," not in str(own) and len(os.fsencode(own)) + LONGEST_SOCKET_NAME <= LONGEST_SOCKET:
            return own
        name = hashlib.sha256(os.fsencode(self.path.absolute())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"queen-{os.getuid()}-{name}"

    def prepare(self) -> None:
        """Make the folders, or make those that exist private: the ledgers are about people.

        Raises ConfigError for a folder that others can read and `queen up` did not make, and for
        one that is not this user's.
        """
        own = (self.lock, self.secret, self.ledger)
        is_ours = any(file.exists() for file in own) or not _has_content(self.path)
        if not is_ours and self.path.stat().st_mode & 0o077:
            raise ConfigError(
                f"{self.path}: expected a folder of `queen up`, an empty one, or one with mode "
                "0700, got a folder of something else that others may read; give --state another, "
                f"or: chmod 700 {self.path}"
            )
        make_private_folder(self.path.resolve())
        for folder in (self.log("any").parent, self.ready_file("any").parent, self.sockets):
            make_private_folder(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one `queen up`; ConfigError if another process has it."""
        with self.lock.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"{self.path}: another `queen up`{self._holder()} uses this state folder; "
                    "stop it, or give --state another folder"
                ) from error
            yield

    def rotate_log(self, service: str) -> Path:
        """Move the logs of earlier runs on and give the path of a fresh one."""
        log = self.log(service)
        for age in range(KEPT_LOGS, 0, -1):
            older = log.with_suffix(f".log.{age}")
            newer = log.with_suffix(f".log.{age - 1}") if age > 1 else log
            if newer.exists():
                newer.replace(older)
        return log

    def write_up(self, content: dict[str, Any]) -> None:
        """Publish addresses and process ids, atomically."""
        fresh = self.up.with_suffix(".json.new")
        fresh.write_text(json.dumps(content, indent=2) + "\n")
        fresh.replace(self.up)

    def read_up(self) -> dict[str, Any]:
        """The content that `write_up` wrote; ConfigError if no deployment runs here."""
        try:
            content: dict[str, Any] = json.loads(self.up.read_text())
        except FileNotFoundError as error:
            raise ConfigError(
                f"{self.up} is missing: no `queen up` runs with this state folder; start one, "
                "or say with --state where it keeps its state"
            ) from error
        except ValueError as error:
            raise ConfigError(f"{self.up}: not JSON; restart `queen up`") from error
        return content

    def _holder(self) -> str:
        try:
            return f" (process {self.read_up()['pids']['up']})"
        except (ConfigError, KeyError, OSError):
            return ""


def _has_content(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())
