"""Ledgers in one SQLite file: durable, with nothing to install, for one replica.

WAL mode, so that the admin API reads while the service writes. With `synchronous`
FULL an acknowledged record survives the loss of power; with NORMAL it survives the
death of the process, and the last commits may be lost with the machine.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from queen.errors import ConfigError, DependencyUnavailable, LedgerCorrupt
from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    LedgerKey,
    Records,
    Renewed,
    decide_append,
    join_records,
)
from queen_sensitivity.ledger_store.sqlite.file import (
    SCHEMA,
    create_private,
    require_ledger,
    take_lock,
)

_FIND = "SELECT id FROM ledgers WHERE geometry = ? AND account = ? AND label = ?"
_CREATE = "INSERT INTO ledgers (geometry, account, label) VALUES (?, ?, ?)"
_VERSION = "SELECT coalesce(max(position) + 1, 0) FROM records WHERE ledger = ?"
_TAIL = "SELECT embedding FROM records WHERE ledger = ? AND position >= ? ORDER BY position"
_RECORD = "SELECT embedding FROM records WHERE ledger = ? AND position = ?"
_INSERT = "INSERT INTO records (ledger, position, embedding) VALUES (?, ?, ?)"
_LOAD = """SELECT label, embedding FROM ledgers JOIN records ON records.ledger = ledgers.id
WHERE geometry = ? AND account = ? ORDER BY label, position"""
_ACCOUNTS = """SELECT DISTINCT account FROM ledgers
WHERE geometry = ? AND account > ? ORDER BY account LIMIT ?"""
_GENERATION = """SELECT coalesce(max(generation), 0) FROM generations
WHERE account = ? AND geometry = ?"""
_ENTER = "INSERT OR REPLACE INTO generations (account, geometry, generation) VALUES (?, ?, ?)"
_GEOMETRIES = """SELECT geometry FROM ledgers WHERE account = ?
UNION SELECT geometry FROM generations WHERE account = ? ORDER BY geometry"""
_FORGET_RECORDS = """DELETE FROM records WHERE ledger IN
(SELECT id FROM ledgers WHERE account = ? AND geometry = ?)"""
_FORGET_LEDGERS = "DELETE FROM ledgers WHERE account = ? AND geometry = ?"
_AUDIT = "INSERT INTO audit (entry) VALUES (?)"
_READ_AUDIT = "SELECT entry FROM audit ORDER BY position LIMIT ? OFFSET ?"

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteLedgerStore:
    """A `LedgerStore` in the file `path`, which it creates with mode 0600.

    Raises ConfigError, saying what to do, for a folder that is missing, a file that is
    no ledger or is damaged, and a file that another process holds.
    """

    def __init__(self, path: Path, synchronous: Literal["full", "normal"] = "full") -> None:
        self._path = path
        self._synchronous = synchronous
        self._lock_file = take_lock(path)
        self._writing = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        try:
            create_private(path)
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

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        with _store_errors():
            connection = self._connection()
            return [_generation(connection, name, geometry_digest) for name in account_ids]

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        with _store_errors():
            rows = self._connection().execute(_GEOMETRIES, (account_id, account_id)).fetchall()
        return [str(geometry) for (geometry,) in rows]

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`; the bytes are overwritten, and leave the write-ahead log."""
        with self._writing:
            with self._transaction() as connection:
                for geometry in geometry_digests:
                    known = _generation(connection, account_id, geometry)
                    _renew(connection, account_id, geometry, max(known + 1, least_generation))
            with _store_errors():
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        with self._writing, self._transaction() as connection:
            connection.execute(_AUDIT, (entry,))

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        with _store_errors():
            rows = self._connection().execute(_READ_AUDIT, (limit, after)).fetchall()
        return [bytes(entry) for (entry,) in rows]

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
                require_ledger(self._path, looking)
            self._connection().executescript(SCHEMA)
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
            connection.execute("PRAGMA secure_delete = ON")
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


def _generation(connection: sqlite3.Connection, account_id: str, geometry: str) -> int:
    return int(connection.execute(_GENERATION, (account_id, geometry)).fetchone()[0])


def _renew(connection: sqlite3.Connection, account_id: str, geometry: str, to: int) -> None:
    connection.execute(_FORGET_RECORDS, (account_id, geometry))
    connection.execute(_FORGET_LEDGERS, (account_id, geometry))
    connection.execute(_ENTER, (account_id, geometry, to))


def _append(connection: sqlite3.Connection, append: Append) -> AppendResult:
    account_id, geometry, _ = append.key
    generation = _generation(connection, account_id, geometry)
    if append.generation < generation:
        return Renewed(generation)
    if append.generation > generation:
        _renew(connection, account_id, geometry, append.generation)
    ledger = _find(connection, append.key)
    version = 0 if ledger is None else int(connection.execute(_VERSION, (ledger,)).fetchone()[0])
    tail = _tail(connection, ledger, append.expected_version)
    found = _record(connection, ledger, append.expected_version - 1)
    refused = decide_append(append, version, tail, found)
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


def _record(connection: sqlite3.Connection, ledger: int | None, position: int) -> bytes:
    row = connection.execute(_RECORD, (ledger, position)).fetchone()
    return b"" if row is None else bytes(row[0])


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise LedgerCorrupt(
                f"the ledger file is damaged ({error}); restore it from a backup"
            ) from error
        raise DependencyUnavailable(
            f"the ledger file did not answer ({type(error).__name__}): {error}"
        ) from error
