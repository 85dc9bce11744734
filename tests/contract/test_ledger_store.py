"""The promises of every ledger store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    Conflict,
    LedgerKey,
    LedgerStore,
    Regressed,
    packed_end,
)

from tests.contract.ledger_stores import append_of, records_of


def test_a_new_store_is_empty(store: LedgerStore) -> None:
    """It has no record and no account before the first append."""
    assert store.load("a", "g") == {}
    assert store.list_accounts("g", "", 10) == []


def test_an_append_at_the_right_version_is_kept_bit_for_bit(store: LedgerStore) -> None:
    """Records come back as the float32 bits that went in, in order, version by version."""
    odd = np.array([[1e-45, -0.0], [3.4e38, np.float32(0.1)]], np.float32)
    results = store.append_many([Append(LedgerKey("a", "g", 3), 0, odd)])
    assert results == [Appended(2)]
    assert store.append_many([append_of("a", 2, 7.0, label=3)]) == [Appended(3)]
    loaded = store.load("a", "g")
    assert list(loaded) == [3]
    assert loaded[3].dtype == np.float32
    assert loaded[3].tobytes() == odd.tobytes() + records_of(7.0).tobytes()


def test_a_stale_append_gets_the_missing_tail_and_changes_nothing(store: LedgerStore) -> None:
    """Conflict and catch-up are one round trip."""
    store.append_many([append_of("a", 0, 1.0, 2.0, 3.0)])
    (result,) = store.append_many([append_of("a", 1, 9.0)])
    assert isinstance(result, Conflict)
    assert np.array_equal(result.missing_tail, records_of(2.0, 3.0))
    assert np.array_equal(store.load("a", "g")[0], records_of(1.0, 2.0, 3.0))


def test_an_append_beyond_the_end_gets_the_length_of_the_list(store: LedgerStore) -> None:
    """A store that lost records says so instead of leaving a gap."""
    store.append_many([append_of("a", 0, 1.0)])
    results = store.append_many([append_of("a", 4, 9.0), append_of("b", 1, 9.0)])
    assert results == [Regressed(1), Regressed(0)]
    assert np.array_equal(store.load("a", "g")[0], records_of(1.0))
    assert store.load("b", "g") == {}


def test_an_append_behind_another_record_than_the_callers_is_refused(store: LedgerStore) -> None:
    """A list that lost records and got others since is not mistaken for the caller's."""
    store.append_many([append_of("a", 0, 1.0, 2.0, 3.0), append_of("b", 0, 1.0)])
    ours, theirs = (packed_end(records_of(first)) for first in (2.0, 9.0))
    for expected, behind in ((2, theirs), (3, theirs), (1, ours)):
        stale = replace(append_of("a", expected, 5.0), behind=behind)
        assert store.append_many([stale, append_of("b", 1)]) == [Regressed(3), Appended(1)]
    assert np.array_equal(store.load("a", "g")[0], records_of(1.0, 2.0, 3.0))
    (conflict,) = store.append_many([replace(append_of("a", 2, 5.0), behind=ours)])
    assert isinstance(conflict, Conflict)
    assert np.array_equal(conflict.missing_tail, records_of(3.0))
    last = packed_end(records_of(2.0, 3.0))
    assert store.append_many([replace(append_of("a", 3), behind=last)]) == [Appended(3)]
    assert store.append_many([replace(append_of("a", 3, 4.0), behind=last)]) == [Appended(4)]


def test_a_lost_append_fails_no_other(store: LedgerStore) -> None:
    """Accounts of one micro-batch do not wait for each other's conflicts."""
    store.append_many([append_of("a", 0, 1.0)])
    results = store.append_many(
        [append_of("b", 0, 5.0), append_of("a", 0, 9.0), append_of("c", 0, 6.0, 7.0)]
    )
    assert results[0] == Appended(1)
    assert isinstance(results[1], Conflict)
    assert results[2] == Appended(2)
    assert np.array_equal(store.load("c", "g")[0], records_of(6.0, 7.0))


def test_two_appends_to_one_ledger_are_made_in_order(store: LedgerStore) -> None:
    """The second append of a call sees the records of the first."""
    results = store.append_many([append_of("a", 0, 1.0), append_of("a", 1, 2.0)])
    assert results == [Appended(1), Appended(2)]
    (again,) = store.append_many([append_of("a", 1, 2.0)])
    assert isinstance(again, Conflict)


def test_an_empty_append_only_asks_for_the_version(store: LedgerStore) -> None:
    """It makes no ledger: an account without a record is not listed."""
    assert store.append_many([append_of("a", 0)]) == [Appended(0)]
    assert store.append_many([]) == []
    assert store.list_accounts("g", "", 10) == []


def test_ledgers_are_apart_by_account_geometry_and_class(store: LedgerStore) -> None:
    """No key reaches the records of another, whatever characters it has."""
    names = ["a", "a:b", "{a}", "a\x00", "A", "ä", "🦊", "' OR 1=1 --", "a" * 1000]
    for index, name in enumerate(names):
        store.append_many([append_of(name, 0, float(index))])
    store.append_many([Append(LedgerKey("a", "h", 0), 0, records_of(99.0))])
    store.append_many([append_of("a", 0, 50.0, label=1)])
    for index, name in enumerate(names[1:], 1):
        assert np.array_equal(store.load(name, "g")[0], records_of(float(index)))
    assert np.array_equal(store.load("a", "g")[0], records_of(0.0))
    assert np.array_equal(store.load("a", "g")[1], records_of(50.0))
    assert np.array_equal(store.load("a", "h")[0], records_of(99.0))


def test_accounts_are_listed_in_pages_in_code_point_order(store: LedgerStore) -> None:
    """Following the last id of each page gives every account once."""
    names = sorted(["b", "a", "B", "ä", "🦊", "\uffee", "aa", "a0"])
    for name in names:
        store.append_many([append_of(name, 0, 1.0), append_of(name, 0, 1.0, label=5)])
    store.append_many([Append(LedgerKey("other", "h", 0), 0, records_of(1.0))])
    seen: list[str] = []
    while page := store.list_accounts("g", seen[-1] if seen else "", 3):
        assert len(page) <= 3
        seen += page
    assert seen == names


def test_loaded_records_never_change(store: LedgerStore) -> None:
    """A reader's records stay as they were while a writer appends."""
    store.append_many([append_of("a", 0, 1.0)])
    loaded = store.load("a", "g")[0]
    store.append_many([append_of("a", 1, 2.0)])
    assert np.array_equal(loaded, records_of(1.0))


def test_the_callers_array_is_copied(store: LedgerStore) -> None:
    """A buffer that the caller uses again does not reach into the store."""
    buffer = records_of(1.0)
    store.append_many([Append(LedgerKey("a", "g", 0), 0, buffer)])
    buffer[:] = 42.0
    assert np.array_equal(store.load("a", "g")[0], records_of(1.0))


def test_racing_writers_lose_nothing(store: LedgerStore) -> None:
    """Eight threads on one ledger: every acknowledged record is there once."""

    def write(first: int) -> None:
        version = 0
        for number in range(10):
            record = records_of(first * 100.0 + number)
            while True:
                (result,) = store.append_many([Append(LedgerKey("a", "g", 0), version, record)])
                if isinstance(result, Appended):
                    version = result.version
                    break
                assert isinstance(result, Conflict)
                version += len(result.missing_tail)

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(write, range(8)))
    stored = store.load("a", "g")[0][:, 0].tolist()
    assert sorted(stored) == [first * 100.0 + number for first in range(8) for number in range(10)]
