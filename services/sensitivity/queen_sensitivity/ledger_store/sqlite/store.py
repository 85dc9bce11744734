"""Ledgers in one SQLite file: durable, with nothing to install, for one replica.

WAL mode, so that the admin API reads while the service writes. With `synchronous`
FULL an acknowledged record survives the loss of power; with NORMAL it survives the
death of the process, and the last commits may be lost with the machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from queen.errors import LedgerCorrupt, LedgerFull
from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    Damaged,
    LedgerKey,
    Records,
    Refused,
    Renewed,
    decide_append,
    join_records,
)
from queen_sensitivity.ledger_store.sqlite.file import LedgerFile, Synchronous, open_ledger_file

_LEDGER = "SELECT id FROM ledgers WHERE geometry = ? AND account = ? AND label = ?"
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
_SET_GENERATION = """INSERT OR REPLACE INTO generations (account, geometry, generation)
VALUES (?, ?, ?)"""
_GEOMETRIES = """SELECT geometry FROM ledgers WHERE account = ?
UNION SELECT geometry FROM generations WHERE account = ? ORDER BY geometry"""
_DELETE_RECORDS = """DELETE FROM records WHERE ledger IN
(SELECT id FROM ledgers WHERE account = ? AND geometry = ?)"""
_DELETE_LEDGERS = "DELETE FROM ledgers WHERE account = ? AND geometry = ?"
_AUDIT = "INSERT INTO audit (entry) VALUES (?)"
_PROBE = "SELECT id FROM ledgers LIMIT 1"
_READ_AUDIT = "SELECT entry FROM audit ORDER BY position LIMIT ? OFFSET ?"


def open_sqlite_store(path: Path, synchronous: Synchronous = "full") -> SqliteLedgerStore:
    """The store in the file `path`; ConfigError, as `open_ledger_file` says."""
    return SqliteLedgerStore(open_ledger_file(path, synchronous))


class SqliteLedgerStore:
    """A `LedgerStore` in a file, which it closes."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`; one transaction for all."""
        try:
            return self._append_together(appends)
        except LedgerFull as full:
            return self._ask_alone(appends, Refused(str(full)))
        except LedgerCorrupt:
            # A page of the file is damaged: whose it is, single appends tell.
            if len(appends) == 1:
                return [Damaged()]
            return [result for append in appends for result in self.append_many([append])]

    def _append_together(self, appends: Sequence[Append]) -> list[AppendResult]:
        with self._file.writing() as connection:
            return [_append(connection, append) for append in appends]

    def _ask_alone(self, appends: Sequence[Append], refused: Refused) -> list[AppendResult]:
        """The answers to appends without records, which need no room; the others are refused."""
        asked = [append for append in appends if not len(append.records)]
        try:
            answers = iter(self._append_together(asked) if len(asked) < len(appends) else [])
        except LedgerFull:
            answers = iter(())
        return [refused if len(append.records) else next(answers, refused) for append in appends]

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._file.reading() as connection:
            rows = connection.execute(_LOAD, (geometry_digest, account_id)).fetchall()
        return {
            label: join_records([embedding for _, embedding in group])
            for label, group in groupby(rows, key=lambda row: int(row[0]))
        }

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        with self._file.reading() as connection:
            rows = connection.execute(_ACCOUNTS, (geometry_digest, after, limit)).fetchall()
        return [str(account_id) for (account_id,) in rows]

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        with self._file.reading() as connection:
            return [_generation(connection, name, geometry_digest) for name in account_ids]

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        with self._file.reading() as connection:
            rows = connection.execute(_GEOMETRIES, (account_id, account_id)).fetchall()
        return [str(geometry) for (geometry,) in rows]

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`; the bytes are overwritten, and leave the write-ahead log."""
        with self._file.writing(empties_log=True) as connection:
            for geometry in geometry_digests:
                known = _generation(connection, account_id, geometry)
                _renew(connection, account_id, geometry, max(known + 1, least_generation))

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        with self._file.writing() as connection:
            connection.execute(_AUDIT, (entry,))

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        with self._file.reading() as connection:
            rows = connection.execute(_READ_AUDIT, (limit, after)).fetchall()
        return [bytes(entry) for (entry,) in rows]

    def probe(self) -> bool:
        """See `LedgerStore.probe`; whether there is room on the disk, only a write would tell."""
        with self._file.reading() as connection:
            connection.execute(_PROBE).fetchall()
        return False

    def close(self) -> None:
        """See `LedgerStore.close`; the next process may have the file."""
        self._file.close()


def _generation(connection: sqlite3.Connection, account_id: str, geometry: str) -> int:
    return int(connection.execute(_GENERATION, (account_id, geometry)).fetchone()[0])


def _renew(connection: sqlite3.Connection, account_id: str, geometry: str, generation: int) -> None:
    connection.execute(_DELETE_RECORDS, (account_id, geometry))
    connection.execute(_DELETE_LEDGERS, (account_id, geometry))
    connection.execute(_SET_GENERATION, (account_id, geometry, generation))


def _append(connection: sqlite3.Connection, append: Append) -> AppendResult:
    account_id, geometry, _ = append.key
    generation = _generation(connection, account_id, geometry)
    if append.generation < generation:
        return Renewed(generation)
    if append.generation > generation:
        _renew(connection, account_id, geometry, append.generation)
    ledger = _ledger(connection, append.key)
    try:
        return _append_behind(connection, ledger, append)
    except LedgerCorrupt:
        return Damaged()


def _append_behind(
    connection: sqlite3.Connection, ledger: int | None, append: Append
) -> AppendResult:
    """Append to a list, or say why not; LedgerCorrupt, before any write, for a damaged list."""
    version = 0 if ledger is None else int(connection.execute(_VERSION, (ledger,)).fetchone()[0])
    tail = _tail(connection, ledger, append.expected_version)
    before = _record(connection, ledger, append.expected_version - 1)
    refused = decide_append(append, version, tail, before)
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


def _ledger(connection: sqlite3.Connection, key: LedgerKey) -> int | None:
    row = connection.execute(_LEDGER, (key.geometry_digest, key.account_id, key.label)).fetchone()
    return None if row is None else int(row[0])


def _tail(connection: sqlite3.Connection, ledger: int | None, version: int) -> Records | None:
    rows = [] if ledger is None else connection.execute(_TAIL, (ledger, version)).fetchall()
    return join_records([embedding for (embedding,) in rows]) if rows else None


def _record(connection: sqlite3.Connection, ledger: int | None, position: int) -> bytes:
    row = connection.execute(_RECORD, (ledger, position)).fetchone()
    if row is not None and not isinstance(row[0], bytes):
        raise LedgerCorrupt("expected the bytes of a record in a ledger, got another type")
    return b"" if row is None else row[0]
