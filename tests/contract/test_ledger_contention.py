"""The engine over a shared store on which another writer is first, again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS
from queen_sensitivity.ledger_store import (
    Append,
    AppendResult,
    Conflict,
    LedgerKey,
    LedgerStore,
    MemoryLedgerStore,
    RedisLedgerStore,
)
from queen_sensitivity.ledger_store.redis.link import RedisLink
from queen_sensitivity.ledger_store.redis.store import open_redis_link

from queen.errors import LedgerConflict
from queen.method.ledger import Verdict
from tests.contract.ledger_stores import PATIENT
from tests.redis_servers import redis_server
from tests.unit.sensitivity.regions import book_of, counting, queries_of, small_geometry, stream

GEOMETRY = small_geometry()
LOST = 8


class Starved(RedisLedgerStore):
    """A store on which another writer gets a record in before each of our appends."""

    def __init__(self, link: RedisLink, theirs: Sequence[np.ndarray]) -> None:
        super().__init__(link)
        self._theirs = list(theirs)

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Let the other writer go first, while it has records."""
        return [self._append_after_them(append) for append in appends]

    def _append_after_them(self, append: Append) -> AppendResult:
        if self._theirs:
            theirs = Append(append.key, append.expected_version, self._theirs.pop()[None])
            super().append_many([theirs])
        (result,) = super().append_many([append])
        return result


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server's address."""
    with redis_server(tmp_path) as server:
        yield server.url


def book_over(store: LedgerStore, counts: Counter[str]) -> LedgerBook:
    """An engine that counts the answers to its appends."""
    return book_of(GEOMETRY, store, listeners=counting(counts))


def test_a_starving_engine_decides_as_one_that_came_after_the_others(url: str) -> None:
    """Once it gets through, verdicts, cqs and records are the step's on the whole ledger."""
    mine, labels = stream(GEOMETRY, 1, 300)
    mine, labels = mine[labels == 1], labels[labels == 1]
    theirs, their_labels = stream(GEOMETRY, 2, 40, reach=0.9)
    theirs = theirs[their_labels == 1][:LOST]
    counts = Counter[str]()
    store = Starved(open_redis_link(url, PATIENT), theirs)
    answer = book_over(store, counts).assess(queries_of(mine, labels))

    alone = MemoryLedgerStore()
    key = LedgerKey("a", GEOMETRY.digest, 1)
    alone.append_many([Append(key, 0, theirs[::-1])])
    expected = book_over(alone, Counter()).assess(queries_of(mine, labels))

    assert counts == {"conflict": LOST, "appended": 1}
    assert answer.verdicts.tolist() == expected.verdicts.tolist()
    assert {Verdict.RECORD, Verdict.REVERSE} <= set(answer.verdicts.tolist())
    assert np.array_equal(answer.cqs_before, expected.cqs_before)
    assert np.array_equal(answer.cqs_after, expected.cqs_after)
    kept, wanted = (each.load("a", GEOMETRY.digest)[1] for each in (store, alone))
    assert kept.tobytes() == wanted.tobytes()
    store.close()


def test_a_store_on_which_nothing_gets_through_ends_in_a_conflict() -> None:
    """The caller is told to try again, and gets no verdict."""
    store = MemoryLedgerStore()
    store.append_many = lambda _: [Conflict(np.empty((0, 2), np.float32))]  # type: ignore[method-assign]
    with pytest.raises(LedgerConflict, match=str(APPEND_ATTEMPTS)):
        book_over(store, Counter()).assess(
            queries_of(GEOMETRY.cluster_centers[[0]], np.zeros(1, int))
        )
