"""The promises of every store about an erasure: no replica brings the records back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    LedgerKey,
    LedgerStore,
    Regressed,
    Renewed,
)

from tests.contract.ledger_stores import append_of, records_of


def at(generation: int, append: Append) -> Append:
    """The append of a replica that knows `generation`."""
    return Append(append.key, append.expected_version, append.records, generation)


def test_an_account_that_was_never_erased_is_in_generation_zero(store: LedgerStore) -> None:
    """Records of an account need no entry beside them to begin."""
    store.append_many([append_of("a", 0, 1.0)])
    assert store.generations(["a", "unknown"], "g") == [0, 0]
    assert store.geometries("a") == ["g"]
    assert store.geometries("unknown") == []


def test_an_erased_account_is_empty_and_listed_no_longer(store: LedgerStore) -> None:
    """All classes go, of this account under this geometry and of no other."""
    store.append_many([append_of("a", 0, 1.0), append_of("a", 0, 2.0, label=4)])
    store.append_many([append_of("b", 0, 3.0)])
    store.append_many([Append(LedgerKey("a", "h", 0), 0, records_of(4.0))])
    store.erase("a", ["g"], 0)
    assert store.load("a", "g") == {}
    assert store.list_accounts("g", "", 10) == ["b"]
    assert store.load("b", "g")[0][:, 0].tolist() == [3.0]
    assert store.load("a", "h")[0][:, 0].tolist() == [4.0]
    assert store.geometries("a") == ["g", "h"]
    erased, other = (store.generations(["a"], geometry)[0] for geometry in ("g", "h"))
    assert erased > 0
    assert other == 0


def test_all_geometries_are_erased_at_once(store: LedgerStore) -> None:
    """A deletion leaves a generation for each geometry and no record."""
    store.append_many([append_of("a", 0, 1.0)])
    store.append_many([Append(LedgerKey("a", "h", 2), 0, records_of(4.0))])
    store.erase("a", ["g", "h", "unseen"], 0)
    for geometry in ("g", "h", "unseen"):
        assert store.load("a", geometry) == {}
        assert store.list_accounts(geometry, "", 10) == []
        assert store.generations(["a"], geometry)[0] > 0
    store.erase("a", [], 0)


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_an_append_from_before_the_erasure_is_refused(store: LedgerStore, expected: int) -> None:
    """A stale append changes nothing, whatever version it expects, and learns the generation."""
    store.append_many([append_of("a", 0, 1.0, 2.0, 3.0)])
    store.erase("a", ["g"], 0)
    (now,) = store.generations(["a"], "g")
    stale = [append_of("a", expected, 9.0), append_of("a", 0, 9.0, label=1)]
    assert store.append_many(stale) == [Renewed(now), Renewed(now)]
    assert store.load("a", "g") == {}
    assert store.append_many([at(now, append_of("a", 0, 5.0))]) == [Appended(1)]
    assert store.append_many([append_of("a", 1, 9.0)]) == [Renewed(now)]
    assert store.load("a", "g")[0][:, 0].tolist() == [5.0]
    assert store.list_accounts("g", "", 10) == ["a"]


def test_a_generation_is_at_least_the_one_asked_for(store: LedgerStore) -> None:
    """The caller's clock keeps numbers apart even across a store that forgot some."""
    later = 1_764_000_000_123
    store.erase("a", ["g"], later)
    (first,) = store.generations(["a"], "g")
    store.erase("a", ["g"], 5)
    (second,) = store.generations(["a"], "g")
    assert later <= first < second < later + 10
    assert store.append_many([at(first, append_of("a", 0, 1.0))]) == [Renewed(second)]


def test_a_lost_erasure_is_repeated(store: LedgerStore) -> None:
    """An append of a newer generation than the store's erases the old records first."""
    store.append_many([append_of("a", 0, 1.0, 2.0), append_of("a", 0, 3.0, label=1)])
    assert store.append_many([at(7, append_of("a", 1, 9.0))]) == [Regressed(0)]
    assert store.load("a", "g") == {}
    assert store.generations(["a"], "g") == [7]
    assert store.append_many([at(7, append_of("a", 0, 8.0, 9.0))]) == [Appended(2)]
    assert store.append_many([append_of("a", 2, 4.0)]) == [Renewed(7)]


def test_an_erasure_amid_writers_leaves_none_of_the_old_records(store: LedgerStore) -> None:
    """Four replicas append while the account is erased: only later records are left."""
    erased = threading.Event()

    def write(first: int) -> set[float]:
        """Append as the engine does; returns the records made after the erasure was over."""
        version, generation, late = 0, 0, set()
        for number in range(30):
            value = first * 100.0 + number
            while True:
                is_late = erased.is_set()
                append = at(generation, append_of("a", version, value))
                (result,) = store.append_many([append])
                if isinstance(result, Appended):
                    version = result.version
                    late |= {value} if is_late else set()
                    break
                if isinstance(result, Renewed):
                    version, generation = 0, result.generation
                else:
                    version += len(result.missing_tail)
        return late

    with ThreadPoolExecutor(4) as writers:
        running = [writers.submit(write, first) for first in range(4)]
        before = store.load("a", "g")
        while not before:
            before = store.load("a", "g")
        store.erase("a", ["g"], 0)
        erased.set()
        late = set().union(*(writer.result() for writer in running))
    kept = store.load("a", "g").get(0, records_of())[:, 0].tolist()
    assert len(kept) == len(set(kept))
    assert late <= set(kept)
    assert not set(before[0][:, 0].tolist()) & set(kept)
    assert store.list_accounts("g", "", 10) == (["a"] if kept else [])


def test_audit_entries_are_read_in_pages_in_order(store: LedgerStore) -> None:
    """Entries come back byte for byte, and a page begins behind the pages before."""
    entries = [b'{"number": %d}' % number for number in range(5)]
    assert store.read_audit(0, 10) == []
    for entry in entries:
        store.append_audit(entry)
    assert store.read_audit(0, 2) == entries[:2]
    assert store.read_audit(2, 2) == entries[2:4]
    assert store.read_audit(4, 2) == entries[4:]
    assert store.read_audit(5, 2) == []
    store.erase("a", ["g"], 0)
    assert store.read_audit(0, 10) == entries
