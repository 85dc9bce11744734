"""The SQLite file: its schema, its lock, its connections, and the files that are refused."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

from queen.errors import ConfigError, DependencyUnavailable, LedgerCorrupt, LedgerFull

Synchronous = Literal["full", "normal"]

_APPLICATION_ID = 0x51554E4C
"""Marks a file as a ledger; another SQLite file must not be written into."""
_SCHEMA_VERSION = 2
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TAKES_NOTHING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)
"""Errors of a write that say that the disk is full, read-only or failing."""
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
CREATE TABLE IF NOT EXISTS generations (
    account TEXT NOT NULL,
    geometry TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (account, geometry)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (position INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit entries are kept as they are'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_never_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit entries are kept'); END;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""


class LedgerFile:
    """A SQLite file that this process alone has open, with a connection for each thread.

    `lock` is the descriptor of the file's lock. Errors of SQLite become LedgerCorrupt for a damaged
    file, LedgerFull for a write that the disk refuses, and DependencyUnavailable otherwise.
    """

    def __init__(self, path: Path, synchronous: Synchronous, lock: int) -> None:
        self._path = path
        self._synchronous = synchronous
        self._lock = lock
        self._writing = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread; readers never wait for the writer."""
        with _translated():
            yield self.connection()

    @contextmanager
    def writing(self, *, empties_log: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, one at a time, after which `empties_log` empties the write-ahead log.

        Nothing of it is kept where it fails.
        """
        with self._writing, _translated(is_write=True):
            connection = self.connection()
            _roll_back(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
            if empties_log:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def connection(self) -> sqlite3.Connection:
        """The connection of this thread, opened at its first call."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # close() may come from another thread; every other use is by one thread.
            connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=5.0, check_same_thread=False
            )
            self._connections.append(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous.upper()}")
            connection.execute("PRAGMA secure_delete = ON")
            # A file for what a statement holds back would need a descriptor and a disk with room.
            connection.execute("PRAGMA temp_store = MEMORY")
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close the file and let the next process have it."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        os.close(self._lock)


def _roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction; a disk that refuses this as well is asked again before the next one."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


@contextmanager
def _translated(*, is_write: bool = False) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _ours(error, is_write=is_write) from error


def _ours(error: sqlite3.Error, *, is_write: bool) -> LedgerCorrupt | DependencyUnavailable:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in _DAMAGED:
        return LedgerCorrupt(f"the ledger file is damaged ({error}); restore it from a backup")
    if is_write and code in _TAKES_NOTHING:
        return LedgerFull(
            f"the ledger file takes no records ({name}: {error}); make room on its disk"
        )
    return DependencyUnavailable(f"the ledger file did not answer ({name}): {error}")


def open_ledger_file(path: Path, synchronous: Synchronous = "full") -> LedgerFile:
    """The file `path`, created with mode 0600 if it is not there.

    Raises ConfigError, which says what to do, for a missing folder, for a file that is damaged
    or no ledger, and for a file that another process holds.
    """
    file = LedgerFile(path, synchronous, _acquire_lock(path))
    try:
        _create_private(path)
        _prepare(path, file)
    except BaseException:
        file.close()
        raise
    return file


def _acquire_lock(path: Path) -> int:
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
        # The write-ahead log inherits the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened as a ledger ({error.strerror})") from error


def _prepare(path: Path, file: LedgerFile) -> None:
    try:
        # The check uses a separate connection, since setting WAL mode would write to the file.
        with closing(sqlite3.connect(path)) as connection:
            _require_ledger(path, connection)
        file.connection().executescript(_SCHEMA)
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{path}: cannot be used as a ledger ({error}); restore it from a backup, "
            "or move it away to start with empty ledgers"
        ) from error


def _require_ledger(path: Path, connection: sqlite3.Connection) -> None:
    """Raises ConfigError for a database that is damaged, another program's or another schema's."""
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
