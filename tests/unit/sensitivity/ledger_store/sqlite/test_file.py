"""The SQLite file: its lock, its mode, and the files that are refused."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import Appended, open_sqlite_store

from queen.errors import ConfigError
from tests.contract.ledger_stores import append_of


def test_a_second_opener_is_refused_in_words(tmp_path: Path) -> None:
    """One ledger file serves one replica; closing it lets the next process in."""
    file = tmp_path / "ledger.sqlite3"
    first = open_sqlite_store(file)
    with pytest.raises(ConfigError, match="another process holds this ledger"):
        open_sqlite_store(file)
    first.close()
    second = open_sqlite_store(file)
    assert second.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
    second.close()


def test_the_files_are_private(tmp_path: Path) -> None:
    """Ledger, write-ahead log and lock are for their owner alone."""
    store = open_sqlite_store(tmp_path / "ledger.sqlite3")
    store.append_many([append_of("a", 0, 1.0)])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is no database, however long it may be, and never was one" * 20, "cannot be used"),
        (b"SQLite format 3\x00" + b"\xff" * 4000, "cannot be used|damaged"),
    ],
)
def test_a_file_that_is_no_database_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """The sentence names the file; its bytes stay, and its lock is free again."""
    file = tmp_path / "ledger.sqlite3"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as refusal:
        open_sqlite_store(file)
    assert str(file) in str(refusal.value)
    assert file.read_bytes() == content
    file.unlink()
    open_sqlite_store(file).close()


def test_another_programs_database_is_refused_untouched(tmp_path: Path) -> None:
    """A SQLite file without our mark is not written into."""
    file = tmp_path / "other.sqlite3"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="no ledger"):
        open_sqlite_store(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("version", [1, 7])
def test_a_ledger_of_another_schema_is_refused(tmp_path: Path, version: int) -> None:
    """A file of another version of Queen is not guessed at."""
    file = tmp_path / "ledger.sqlite3"
    open_sqlite_store(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ConfigError, match=f"expected ledger schema version 2, got {version}"):
        open_sqlite_store(file)


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    """The operator makes the folder of the state."""
    with pytest.raises(ConfigError, match="folder that exists"):
        open_sqlite_store(tmp_path / "missing" / "ledger.sqlite3")


def test_an_audit_entry_cannot_be_changed(tmp_path: Path) -> None:
    """Not even by hand, as long as the triggers of the file are there."""
    file = tmp_path / "ledger.sqlite3"
    store = open_sqlite_store(file)
    store.append_audit(b"{}")
    store.close()
    with sqlite3.connect(file) as connection:
        for statement in ("UPDATE audit SET entry = x'00'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="audit entries are kept"):
                connection.execute(statement)
    connection.close()
