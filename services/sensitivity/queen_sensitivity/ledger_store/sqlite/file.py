"""The SQLite file itself: its schema, its lock, and what is refused."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from queen.errors import ConfigError

_APPLICATION_ID = 0x51554E4C
"""Marks a file as a ledger; another SQLite file must not be written into."""
_SCHEMA_VERSION = 2
_READABLE_VERSIONS = (1, 2)
"""Version 2 added generations and the audit; a file of version 1 lacks nothing else."""
SCHEMA = f"""
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


def take_lock(path: Path) -> int:
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


def create_private(path: Path) -> None:
    """Create the file, for its owner alone, if it is not there; ConfigError if that fails."""
    try:
        # The write-ahead log takes over the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened as a ledger ({error.strerror})") from error


def require_ledger(path: Path, connection: sqlite3.Connection) -> None:
    """Raises ConfigError for a database that is damaged, another program's or a later Queen's."""
    (damage,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if damage != "ok":
        raise ConfigError(f"{path}: the ledger is damaged; restore it from a backup")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and application != _APPLICATION_ID:
        raise ConfigError(f"{path}: a SQLite database, but no ledger; name another file")
    if tables and version not in _READABLE_VERSIONS:
        raise ConfigError(
            f"{path}: expected ledger schema version {_SCHEMA_VERSION} or older, got {version}; "
            "use the version of Queen that wrote it"
        )
