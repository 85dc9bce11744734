"""Ledgers in SQLite: a full disk, damage, and erased bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import Appended, SqliteLedgerStore, open_sqlite_store
from queen_sensitivity.ledger_store.sqlite.file import open_ledger_file

from queen.errors import DependencyUnavailable, LedgerCorrupt
from tests.contract.ledger_stores import append_of, records_of


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    """An append that the file cannot take raises, and the transaction is undone."""
    file = open_ledger_file(tmp_path / "ledger.sqlite3")
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, 1.0)])
    connection = file.connection()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [float(number) for number in range(5000)]
    with pytest.raises(DependencyUnavailable, match="did not answer"):
        store.append_many([append_of("b", 0, 5.0), append_of("a", 1, *many)])
    connection.execute("PRAGMA max_page_count = 1000000")
    assert store.load("b", "g") == {}
    assert store.append_many([append_of("a", 1, 2.0)]) == [Appended(2)]
    store.close()


def test_records_of_two_widths_are_damage(tmp_path: Path) -> None:
    """A ledger that cannot be an array is reported, not guessed at."""
    file = open_ledger_file(tmp_path / "ledger.sqlite3")
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, 1.0, 2.0)])
    file.connection().execute("UPDATE records SET embedding = x'00' WHERE position = 1")
    with pytest.raises(LedgerCorrupt, match="damaged"):
        store.load("a", "g")
    store.close()


def test_an_erased_record_is_not_in_the_files_of_sqlite(tmp_path: Path) -> None:
    """Neither the database nor its write-ahead log holds the bytes, while the service runs on."""
    store = open_sqlite_store(tmp_path / "ledger.sqlite3")
    needle = records_of(1234.5678).tobytes()
    store.append_many([append_of("a", 0, 1234.5678), append_of("b", 0, 1.0)])
    holding = [path for path in tmp_path.iterdir() if needle in path.read_bytes()]
    assert holding
    store.erase("a", ["g"], 0)
    assert not [path for path in tmp_path.iterdir() if needle in path.read_bytes()]
    store.close()


def test_a_file_that_is_damaged_while_it_serves_is_no_outage(tmp_path: Path) -> None:
    """Another call would fail, too, so it is not the error that callers retry."""
    file = tmp_path / "ledger.sqlite3"
    store = open_sqlite_store(file)
    store.append_many([append_of("a", 0, *map(float, range(5000)))])
    store.close()
    store = open_sqlite_store(file)
    with file.open("r+b") as damaged:
        damaged.seek(3 * 4096)
        damaged.write(b"\xff" * (file.stat().st_size - 3 * 4096))
    with pytest.raises(LedgerCorrupt, match="restore it from a backup"):
        store.load("a", "g")
    store.close()
