"""The engine over a shared store on which another writer always wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.book import APPEND_ATTEMPTS, LedgerBook
from queen_sensitivity.ledger_store import (
    Append,
    AppendResult,
    Conflict,
    LedgerKey,
    MemoryLedgerStore,
    RedisLedgerStore,
)
from queen_sensitivity.ledgers.thresholds import Thresholds

from queen.errors import LedgerConflict
from queen.method.ledger import Verdict
from tests.contract.ledger_stores import PATIENT
from tests.redis_servers import redis_server
from tests.unit.sensitivity.regions import queries_of, small_geometry, stream

GEOMETRY = small_geometry()


class Starved(RedisLedgerStore):
    """A store on which another writer gets one record in before each of our appends."""

    def __init__(self, url: str, theirs: Sequence[np.ndarray]) -> None:
        super().__init__(url, PATIENT)
        self._theirs = list(theirs)

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Let the other writer go first."""
        return [self._lose(append) for append in appends]

    def _lose(self, append: Append) -> AppendResult:
        if self._theirs:
            theirs = Append(append.key, append.expected_version, self._theirs.pop()[None])
            super().append_many([theirs])
            (result,) = super().append_many([append])
            return result
        return Conflict(np.empty((0, 2), np.float32))


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server's address."""
    with redis_server(tmp_path) as server:
        yield server.url


def book_over(
    store: RedisLedgerStore | MemoryLedgerStore, counts: Counter[str], budget: int = 12
) -> LedgerBook:
    """An engine that does not wait between its attempts."""
    return LedgerBook(
        GEOMETRY,
        Thresholds(GEOMETRY, np.full(3, 0.4), budget),
        store,
        cached_accounts=10,
        count_append=lambda result: counts.update([result]),
        pause=lambda _: None,
    )


def test_a_starving_engine_decides_as_one_that_came_after_the_others(url: str) -> None:
    """When its attempts are spent the store decides: verdicts, cqs and records are the step's."""
    mine, labels = stream(GEOMETRY, 1, 300)
    mine, labels = mine[labels == 1], labels[labels == 1]
    theirs, their_labels = stream(GEOMETRY, 2, 40, reach=0.9)
    theirs = theirs[their_labels == 1][:APPEND_ATTEMPTS]
    counts = Counter[str]()
    store = Starved(url, theirs)
    answer = book_over(store, counts).assess(queries_of(mine, labels))

    alone = MemoryLedgerStore()
    key = LedgerKey("a", GEOMETRY.digest, 1)
    alone.append_many([Append(key, 0, theirs[::-1])])
    expected = book_over(alone, Counter()).assess(queries_of(mine, labels))

    assert counts["conflict"] == APPEND_ATTEMPTS
    assert counts["fallback"] > 0
    assert answer.verdicts.tolist() == expected.verdicts.tolist()
    assert {Verdict.RECORD, Verdict.REVERSE} <= set(answer.verdicts.tolist())
    assert np.array_equal(answer.cqs_before, expected.cqs_before)
    assert np.array_equal(answer.cqs_after, expected.cqs_after)
    kept, wanted = (each.load("a", GEOMETRY.digest)[1] for each in (store, alone))
    assert kept.tobytes() == wanted.tobytes()
    store.close()


def test_what_the_store_decided_is_in_memory(url: str) -> None:
    """The next batch sees the records that the store took: a replay records nothing."""
    counts = Counter[str]()
    store = Starved(url, [])
    book = book_over(store, counts)
    batch = queries_of(*stream(GEOMETRY, 3, 60))
    first = book.assess(batch)
    assert len(first.recorded) > 10
    fallbacks = counts["fallback"]
    again = book.assess(batch)
    assert len(again.recorded) == 0
    assert counts["fallback"] == fallbacks
    assert again.cqs_after.max() == first.cqs_after.max()
    store.close()


def test_a_list_that_was_cut_meanwhile_is_repaired(url: str) -> None:
    """The store says where the truth ends, gets its records back, and then decides."""
    counts = Counter[str]()
    store = RedisLedgerStore(url, PATIENT)
    book = book_over(store, counts, budget=60)
    embeddings, labels = stream(GEOMETRY, 5, 80)
    book.assess(queries_of(embeddings[:40], labels[:40]))
    with store._link.servers()[0] as client:
        for label in range(3):
            client.ltrim(f"queen:{{a}}:{GEOMETRY.digest}:{label}", 0, 0)
    store.append_many = Losing(store).append_many  # type: ignore[method-assign]
    book.assess(queries_of(embeddings[40:], labels[40:]))
    assert counts["regressed"] > 0
    assert counts["fallback"] > 0
    store.close()

    whole = MemoryLedgerStore()
    book_over(whole, Counter(), budget=60).assess(queries_of(embeddings, labels))
    again = RedisLedgerStore(url, PATIENT)
    kept, wanted = (each.load("a", GEOMETRY.digest) for each in (again, whole))
    assert {label: each.tobytes() for label, each in kept.items()} == {
        label: each.tobytes() for label, each in wanted.items()
    }
    again.close()


class Losing:
    """Appends that lose at the end of a list, so that only repairs get through."""

    def __init__(self, store: RedisLedgerStore) -> None:
        self._append_many = store.append_many
        self._store = store

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Conflict where the list is as long as expected and whole again."""
        return [self._lose(append) for append in appends]

    def _lose(self, append: Append) -> AppendResult:
        known = self._store.load(append.key.account_id, append.key.geometry_digest)
        version = len(known.get(append.key.label, ()))
        is_repair = version == append.expected_version == 1
        if version != append.expected_version or is_repair:
            (result,) = self._append_many([append])
            return result
        return Conflict(np.empty((0, 2), np.float32))


def test_a_store_without_the_capability_ends_in_a_conflict() -> None:
    """Stores with one writer never come here; another would be told to try again."""
    store = MemoryLedgerStore()
    store.append_many = lambda _: [Conflict(np.empty((0, 2), np.float32))]  # type: ignore[method-assign]
    with pytest.raises(LedgerConflict, match=str(APPEND_ATTEMPTS)):
        book_over(store, Counter()).assess(
            queries_of(GEOMETRY.cluster_centers[[0]], np.zeros(1, int))
        )
