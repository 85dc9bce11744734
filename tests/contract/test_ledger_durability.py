"""What a store that outlives its process promises besides."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from queen_sensitivity.ledger_store import Appended, SqliteLedgerStore

from queen.errors import ConfigError, DependencyUnavailable, LedgerCorrupt
from tests.contract.ledger_stores import append_of


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_kill_nine_loses_no_acknowledged_record(tmp_path: Path, synchronous: str) -> None:
    """A writer dies in the middle of its work, three times; what it acknowledged is there."""
    file = tmp_path / "ledger.sqlite3"
    for seconds in (0.15, 0.3, 0.45):
        acknowledged = _write_until_killed(tmp_path, file, synchronous, seconds)
        store = SqliteLedgerStore(file)
        loaded = store.load("a", "g")
        store.close()
        for label, version in acknowledged.items():
            kept = loaded[label][:, 0].tolist()
            assert len(kept) >= version > 0
            assert kept == [float(number) for number in range(len(kept))]
        file.unlink()


def _write_until_killed(
    folder: Path, file: Path, synchronous: str, seconds: float
) -> dict[int, int]:
    """Versions by label that a killed writer acknowledged."""
    output = folder / "acknowledged"
    with output.open("wb") as stream:
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.writer", str(file), synchronous], stdout=stream
        )
    deadline = time.monotonic() + 30
    while not output.stat().st_size and time.monotonic() < deadline and writer.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    # The last line may be cut: an acknowledgement that nobody saw in full.
    lines = output.read_text().rpartition("\n")[0].splitlines()
    return {int(label): int(version) for label, version in (line.split() for line in lines)}


def test_a_second_opener_is_refused_in_words(tmp_path: Path) -> None:
    """One ledger file serves one replica; closing it lets the next one in."""
    file = tmp_path / "ledger.sqlite3"
    first = SqliteLedgerStore(file)
    with pytest.raises(ConfigError, match="another process holds this ledger"):
        SqliteLedgerStore(file)
    first.close()
    second = SqliteLedgerStore(file)
    assert second.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
    second.close()


def test_the_files_are_private(tmp_path: Path) -> None:
    """Ledger, write-ahead log and lock are for their owner alone."""
    store = SqliteLedgerStore(tmp_path / "ledger.sqlite3")
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
        SqliteLedgerStore(file)
    assert str(file) in str(refusal.value)
    assert file.read_bytes() == content
    file.unlink()
    SqliteLedgerStore(file).close()


def test_another_programs_database_is_refused_untouched(tmp_path: Path) -> None:
    """A SQLite file without our mark is not written into."""
    file = tmp_path / "other.sqlite3"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="no ledger"):
        SqliteLedgerStore(file)
    assert file.read_bytes() == before


def test_a_ledger_of_a_later_schema_is_refused(tmp_path: Path) -> None:
    """A newer file is not guessed at."""
    file = tmp_path / "ledger.sqlite3"
    SqliteLedgerStore(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match="expected ledger schema version 2 or older, got 7"):
        SqliteLedgerStore(file)


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    """The folder of the state is the operator's to make."""
    with pytest.raises(ConfigError, match="folder that exists"):
        SqliteLedgerStore(tmp_path / "missing" / "ledger.sqlite3")


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    """An append that the file cannot take raises, and the transaction is undone."""
    file = tmp_path / "ledger.sqlite3"
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, 1.0)])
    connection = store._connection()
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
    file = tmp_path / "ledger.sqlite3"
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, 1.0, 2.0)])
    store._connection().execute("UPDATE records SET embedding = x'00' WHERE position = 1")
    with pytest.raises(LedgerCorrupt, match="damaged"):
        store.load("a", "g")
    store.close()


def test_a_file_that_is_damaged_while_it_serves_is_no_outage(tmp_path: Path) -> None:
    """Asking again would fail for ever, so it is not the error that callers retry."""
    file = tmp_path / "ledger.sqlite3"
    store = SqliteLedgerStore(file)
    store.append_many([append_of("a", 0, *map(float, range(5000)))])
    store.close()
    store = SqliteLedgerStore(file)
    with file.open("r+b") as damaged:
        damaged.seek(3 * 4096)
        damaged.write(b"\xff" * (file.stat().st_size - 3 * 4096))
    with pytest.raises(LedgerCorrupt, match="restore it from a backup"):
        store.load("a", "g")
    store.close()
