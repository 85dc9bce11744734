"""The condition of a store, told by its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
import structlog
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    AppendResult,
    MemoryLedgerStore,
    Refused,
    StoreCondition,
    WatchedStore,
)

from queen.errors import DependencyUnavailable, LedgerFull
from tests.contract.ledger_stores import append_of


class Shown:
    """A gauge."""

    def __init__(self) -> None:
        self.value = -1.0

    def set(self, value: float, /) -> None:
        """Show it."""
        self.value = float(value)


class TroubledStore(MemoryLedgerStore):
    """A store that fails as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: DependencyUnavailable | None = None
        self.tells_room = True

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Refuse, fail or append."""
        if isinstance(self.trouble, LedgerFull):
            return [
                Refused(str(self.trouble)) if len(append.records) else self._append(append)
                for append in appends
            ]
        self._meet()
        return super().append_many(appends)

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """Fail or tell."""
        if not isinstance(self.trouble, LedgerFull):
            self._meet()
        return super().generations(account_ids, geometry_digest)

    def append_audit(self, entry: bytes) -> None:
        """Fail or keep."""
        self._meet()
        super().append_audit(entry)

    def probe(self) -> bool:
        """Fail or answer."""
        if self.tells_room or not isinstance(self.trouble, LedgerFull):
            self._meet()
        return self.tells_room

    def _meet(self) -> None:
        if self.trouble is not None:
            raise self.trouble


GONE = DependencyUnavailable("the ledger store did not answer (ConnectionError)")
FULL = LedgerFull("the ledger store takes no records (OOM)")


class Watched:
    """A watched store with its two gauges."""

    def __init__(self) -> None:
        self.inner, self.up, self.room = TroubledStore(), Shown(), Shown()
        self.condition = StoreCondition(self.up, self.room)
        self.store = WatchedStore(self.inner, self.condition)

    @property
    def shown(self) -> tuple[float, float]:
        """Both gauges, which the condition agrees with."""
        assert (self.condition.is_up, self.condition.has_room) == (
            bool(self.up.value),
            bool(self.room.value),
        )
        return self.up.value, self.room.value


def test_a_store_that_is_gone_and_comes_back_is_told_once_with_its_cause() -> None:
    """The gauges follow, and a failure that goes on is not told again."""
    watched = Watched()
    assert watched.shown == (1, 1)
    watched.inner.trouble = GONE
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(DependencyUnavailable):
                watched.store.generations(["a"], "g")
        assert watched.shown == (0, 0)
        watched.inner.trouble = None
        watched.store.generations(["a"], "g")
        assert watched.shown == (1, 1)
    assert [(line["log_level"], line.get("cause")) for line in lines] == [
        ("error", str(GONE)),
        ("warning", None),
    ]


@pytest.mark.parametrize(
    "meet",
    [
        lambda store: store.append_many([append_of("a", 0, 1.0), append_of("b", 0)]),
        lambda store: store.append_audit(b"entry"),
        lambda store: store.probe(),
    ],
)
def test_a_full_store_is_up_and_takes_no_records(meet: Callable[[WatchedStore], object]) -> None:
    """Whichever call is refused; reading does not make it whole, the next record does."""
    watched = Watched()
    watched.inner.trouble = FULL
    with structlog.testing.capture_logs() as lines:
        with suppress(LedgerFull):
            meet(watched.store)
        assert watched.shown == (1, 0)
        watched.store.generations(["a"], "g")
        watched.store.append_many([append_of("b", 0)])
        assert watched.shown == (1, 0)
        watched.inner.trouble = None
        assert watched.store.append_many([append_of("a", 0, 1.0)]) == [Appended(1)]
    assert watched.shown == (1, 1)
    assert [line.get("cause") for line in lines] == [str(FULL), None]


@pytest.mark.parametrize("tells_room", [True, False])
def test_a_probe_makes_a_store_whole_only_if_it_tells_of_room(tells_room: bool) -> None:
    """SQLite answers a probe whether its disk is full or not."""
    watched = Watched()
    watched.inner.trouble = FULL
    watched.store.append_many([append_of("a", 0, 1.0)])
    watched.inner.trouble, watched.inner.tells_room = None, tells_room
    watched.store.probe()
    assert watched.shown == (1, float(tells_room))
