"""Ledgers in SQLite: a full disk, damage, and erased bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import (
    Appended,
    Damaged,
    Refused,
    SqliteLedgerStore,
    open_sqlite_store,
)
from queen_sensitivity.ledger_store.sqlite.file import open_ledger_file

from queen.errors import LedgerCorrupt, LedgerFull
from tests.contract.ledger_stores import append_of, records_of


def test_a_full_file_refuses_records_and_answers_everything_else(tmp_path: Path) -> None:
    """A transaction that the file cannot hold is undone whole, and nothing has to be mended."""
    file = open_ledger_file(tmp_path / "ledger.sqlite3")
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, 1.0)])
    connection = file.connection()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [float(number) for number in range(5000)]
    results = store.append_many(
        [append_of("b", 0, 5.0), append_of("a", 1), append_of("a", 1, *many)]
    )
    assert [type(result) for result in results] == [Refused, Appended, Refused]
    assert "SQLITE_FULL" in results[0].cause
    assert store.load("b", "g") == {}
    with pytest.raises(LedgerFull, match="make room"):
        store.append_audit(bytes(1 << 20))
    store.probe()
    connection.execute("PRAGMA max_page_count = 1000000")
    assert store.append_many([append_of("a", 1, 2.0)]) == [Appended(2)]
    store.close()


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from queen_sensitivity.ledger_store import open_sqlite_store
from tests.contract.ledger_stores import append_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_sqlite_store(Path(sys.argv[1]))
store.append_many([append_of("a", 0, 1.0)])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
many = [float(number) for number in range(20_000)]
kinds = [type(result).__name__ for result in store.append_many([append_of("b", 0, *many)])]
print(kinds, len(store.load("a", "g")[0]), store.load("b", "g"))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(store.append_many([append_of("b", 0, *many)]))
store.close()
"""


def test_a_disk_that_refuses_to_grow_is_full_and_is_used_again(tmp_path: Path) -> None:
    """The system's own refusal, in a process of its own."""
    words = [sys.executable, "-c", NO_ROOM, str(tmp_path / "ledger.sqlite3")]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["['Refused'] 1 {}", "[Appended(version=20000)]"]


def test_a_damaged_record_fails_the_appends_to_its_list_alone(tmp_path: Path) -> None:
    """The append of another account in the same call is made."""
    file = open_ledger_file(tmp_path / "ledger.sqlite3")
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, 1.0, 2.0)])
    file.connection().execute("UPDATE records SET embedding = x'00' WHERE position = 1")
    results = store.append_many(
        [append_of("b", 0, 5.0), append_of("a", 0, 3.0), append_of("c", 0, 6.0)]
    )
    assert results == [Appended(1), Damaged(), Appended(1)]
    file.connection().execute("UPDATE records SET embedding = 'text' WHERE position = 1")
    assert store.append_many([append_of("a", 2, 3.0)]) == [Damaged()]
    with pytest.raises(LedgerCorrupt, match="damaged"):
        store.load("a", "g")
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
    appends = [append_of("a", 5000, 1.0), append_of("b", 0, 1.0)]
    assert Damaged() in store.append_many(appends)
    store.close()
