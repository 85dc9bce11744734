"""Ledgers in one SQLite file: durable, with nothing to install, for one replica.

WAL mode, so that the admin API reads while the service writes. With `synchronous`
FULL an acknowledged record survives the loss of power; with NORMAL it survives the
death of the process, and the last commits may be lost with the machine.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from queen.errors import ConfigError, DependencyUnavailable

from .base import (
    Append,
    Appended,
    AppendResult,
    LedgerKey,
    Records,
    decide_append,
    join_records,
)

_APPLICATION_ID = 0x51554E4C
"""Marks a file as a ledger; another SQLite file must not be written into."""
_SCHEMA_VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS ledgers (
    id INTEGER PRIMARY KEY,
    geometry TEXT NOT NULL,
    account TEXT NOT NULL,
    label INTEGER NOT NULL,
    UNIQUE (geometry, account, label)
);
CREATE TABLE IF NOT EXISTS records (
    ledger INTEGER NOT NULL REFERENCES ledgers (id),
    position INTEGER NOT NULL,
    embedding BLOB NOT NULL,
    PRIMARY KEY (ledger, position)
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""
_FIND = "SELECT id FROM ledgers WHERE geometry = ? AND account = ? AND label = ?"
_CREATE = "INSERT INTO ledgers (geometry, account, label) VALUES (?, ?, ?)"
_VERSION = "SELECT coalesce(max(position) + 1, 0) FROM records WHERE ledger = ?"
_TAIL = "SELECT embedding FROM records WHERE ledger = ? AND position >= ? ORDER BY position"
_INSERT = "INSERT INTO records (ledger, position, embedding) VALUES (?, ?, ?)"
_LOAD = """SELECT label, embedding FROM ledgers JOIN records ON records.ledger = ledgers.id
WHERE geometry = ? AND account = ? ORDER BY label, position"""
_ACCOUNTS = """SELECT DISTINCT account FROM ledgers
WHERE geometry = ? AND account > ? ORDER BY account LIMIT ?"""


class SqliteLedgerStore:
    """A `LedgerStore` in the file `path`, which it creates with mode 0600.

    Raises ConfigError, saying what to do, for a folder that is missing, a file that is
    no ledger or is damaged, and a file that another process holds.
    """

    def __init__(self, path: Path, synchronous: Literal["full", "normal"] = "full") -> None:
        self._path = path
        self._synchronous = synchronous
        self._lock_file = _take_lock(path)
        self._writing = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        try:
            _create_private(path)
            self._prepare()
        except BaseException:
            self.close()
            raise

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`; one transaction for all."""
        with self._writing, self._transaction() as connection:
            return [_append(connection, append) for append in appends]

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with _store_errors():
            rows = self._connection().execute(_LOAD, (geometry_digest, account_id)).fetchall()
        return {
            label: join_records([embedding for _, embedding in group])
            for label, group in groupby(rows, key=lambda row: int(row[0]))
        }

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        with _store_errors():
            rows = self._connection().execute(_ACCOUNTS, (geometry_digest, after, limit)).fetchall()
        return [str(account_id) for (account_id,) in rows]

    def close(self) -> None:
        """Close the file and let the next process have it."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        os.close(self._lock_file)

    def _prepare(self) -> None:
        try:
            # On a connection of its own: to set WAL mode is already to write.
            with closing(sqlite3.connect(self._path)) as looking:
                _require_ledger(self._path, looking)
            self._connection().executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{self._path}: cannot be used as a ledger ({error}); restore it from a backup, "
                "or move it away to start with empty ledgers"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's own connection: readers then never wait for the writer."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # close() may come from another thread; every other use is by one thread.
            connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=5.0, check_same_thread=False
            )
            self._connections.append(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous.upper()}")
            self._local.connection = connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _store_errors():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _append(connection: sqlite3.Connection, append: Append) -> AppendResult:
    ledger = _find(connection, append.key)
    version = 0 if ledger is None else int(connection.execute(_VERSION, (ledger,)).fetchone()[0])
    refused = decide_append(append, version, _tail(connection, ledger, append.expected_version))
    if refused is not None or not len(append.records):
        return refused or Appended(version)
    if ledger is None:
        key = append.key
        ledger = connection.execute(
            _CREATE, (key.geometry_digest, key.account_id, key.label)
        ).lastrowid
    content = np.ascontiguousarray(append.records, "<f4")
    connection.executemany(
        _INSERT, ((ledger, version + row, record.tobytes()) for row, record in enumerate(content))
    )
    return Appended(version + len(content))


def _find(connection: sqlite3.Connection, key: LedgerKey) -> int | None:
    row = connection.execute(_FIND, (key.geometry_digest, key.account_id, key.label)).fetchone()
    return None if row is None else int(row[0])


def _tail(connection: sqlite3.Connection, ledger: int | None, version: int) -> Records | None:
    rows = [] if ledger is None else connection.execute(_TAIL, (ledger, version)).fetchall()
    return join_records([embedding for (embedding,) in rows]) if rows else None


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DependencyUnavailable(
            f"the ledger file did not answer ({type(error).__name__}): {error}"
        ) from error


def _take_lock(path: Path) -> int:
    """An exclusive lock that ends with this process, however it ends.

    It lies beside the database: SQLite drops its own locks between transactions.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{lock}: cannot be created ({error.strerror}); state needs a file in a folder "
            "that exists and is writable"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError(
            f"{path}: another process holds this ledger; a SQLite ledger serves one replica, "
            "stop the other process or give this one a file of its own"
        ) from error
    return handle


def _create_private(path: Path) -> None:
    try:
        # The write-ahead log takes over the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened as a ledger ({error.strerror})") from error


def _require_ledger(path: Path, connection: sqlite3.Connection) -> None:
    (damage,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if damage != "ok":
        raise ConfigError(f"{path}: the ledger is damaged; restore it from a backup")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and application != _APPLICATION_ID:
        raise ConfigError(f"{path}: a SQLite database, but no ledger; name another file")
    if tables and version != _SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: expected ledger schema version {_SCHEMA_VERSION}, got {version}; "
            "use the version of Queen that wrote it"
        )
