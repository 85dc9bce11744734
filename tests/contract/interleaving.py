"""Replicas over one store, in one thread, whose calls are interleaved on purpose.

Each replica's engine reaches the store through a wrapper that lets pending operations of
other replicas happen between its calls. Every compare-and-set that is lost is so lost
deterministically, and what the engine answers can be compared with the ledger step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy, Queries, charge_owners
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import Append, AppendResult, LedgerKey, Records
from queen_sensitivity.ledgers.account_cache import Recheck

from queen.errors import DependencyUnavailable
from queen.method.ledger import (
    Assessment,
    Charges,
    LedgerLevels,
    LedgerRows,
    Scope,
    Standing,
    Verdict,
    assess_rows,
)
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import record_weights
from queen.owners import group_owner
from tests.unit.sensitivity.regions import (
    CLASSES,
    ForgetfulStore,
    batch_of,
    book_of,
    meter_of,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry(0.2)
METER = meter_of(GEOMETRY, limit=5.0)
POLICIES = (
    AccountPolicy("a", 4, Scope.QUERY, "north", 9),
    AccountPolicy("b", 6, Scope.CLASS, "north", 9),
    AccountPolicy("c", 3, Scope.ACCOUNT),
)
OWNERS = (*(policy.account_id for policy in POLICIES), group_owner("north"))
CACHED = (10, 10, 2)
"""Accounts in memory, of each replica."""


@dataclass(frozen=True)
class Assess:
    """A replica takes a batch; `meanwhile` says before which of its calls what happens."""

    replica: int
    seed: int
    rows: int
    meanwhile: tuple[tuple[int, Operation], ...] = ()


@dataclass(frozen=True)
class Fail:
    """The store does not answer the call that is under way, before or after its effect."""

    is_after: bool


@dataclass(frozen=True)
class Forget:
    """A replica reads an owner again."""

    replica: int
    owner: str


@dataclass(frozen=True)
class Restart:
    """A replica begins with nothing in memory."""

    replica: int


@dataclass(frozen=True)
class Erase:
    """An operator erases an owner."""

    owner: str


@dataclass(frozen=True)
class Regress:
    """The store loses the last records of some of an owner's lists."""

    owner: str
    labels: tuple[int, ...]
    count: int


Operation = Assess | Fail | Forget | Restart | Erase | Regress


class Taken(NamedTuple):
    """Records that the store took, behind those that it had, and for which operation."""

    operation: int
    key: LedgerKey
    before: Records
    records: Records


@dataclass
class Frame:
    """An operation under way."""

    number: int
    begun: int
    meanwhile: tuple[tuple[int, Operation], ...] = ()
    calls: int = 0
    failing: Fail | None = None
    has_failed: bool = False


class WatchedStore(ForgetfulStore):
    """Remembers every state that a list has had, and when."""

    compares = True

    def __init__(self) -> None:
        super().__init__()
        self.time = 0
        self.history: dict[LedgerKey, list[tuple[int, Records]]] = {}
        self.taken: list[Taken] = []
        self.operation = 0

    def state(self, key: LedgerKey) -> Records:
        """A list as it is, (M, E)."""
        return self._lists.get(key, np.empty((0, 2), np.float32))

    def states(self, key: LedgerKey, since: int) -> list[Records]:
        """The list at the time `since`, and all that it has been from then on."""
        noted = [(0, np.empty((0, 2), np.float32)), *self.history.get(key, [])]
        start = max(place for place, (time, _) in enumerate(noted) if time <= since)
        return [records for _, records in noted[start:]]

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Append, and note what became of the lists."""
        return [self._take(append) for append in appends]

    def note(self) -> None:
        """Remember lists that are others than they were."""
        self.time += 1
        for key in self._lists.keys() | self.history.keys():
            noted = self.history.setdefault(key, [])
            current = self.state(key)
            if not noted or noted[-1][1] is not current:
                noted.append((self.time, current))

    def _take(self, append: Append) -> AppendResult:
        before = self.state(append.key)
        if not self.compares:
            append = Append(append.key, len(before), append.records, append.generation)
        (result,) = super().append_many([append])
        after = self.state(append.key)
        if len(append.records) and len(after) and after is not before:
            kept = after[: len(after) - len(append.records)]
            self.taken.append(Taken(self.operation, append.key, kept, append.records))
        self.note()
        return result


class BlindStore(WatchedStore):
    """The store as it must not be: it appends wherever the list ends by now."""

    compares = False


class Interleaved:
    """One replica's way to the store; `call` lets others go first, and may fail."""

    def __init__(self, store: WatchedStore, call: Callable[[Callable[[], Any]], Any]) -> None:
        self._store = store
        self._call = call

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        return list(self._call(lambda: self._store.append_many(appends)))

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        return dict(self._call(lambda: self._store.load(account_id, geometry_digest)))

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        return list(self._call(lambda: self._store.generations(account_ids, geometry_digest)))


class Told(NamedTuple):
    """What the engine decided of the R charged rows, before it was enforced."""

    step: Assessment
    thresholds: np.ndarray


@dataclass
class World:
    """Replicas, their store, and the checks of what they answer.

    `told` gets what the engine hands to `enforce`, the latest last.
    """

    store: WatchedStore
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frames: list[Frame] = []
        self.busy: set[int] = set()
        self.numbers = 0
        self.pool: list[tuple[np.ndarray, int]] = []
        self.lost: dict[LedgerKey, list[np.ndarray]] = {}
        self.chains: dict[tuple[LedgerKey, int, bytes], bytes] = {}
        self.confused: set[LedgerKey] = set()
        self.cut: dict[LedgerKey, int] = {}
        self.counts: dict[str, int] = {}
        self.books: list[LedgerBook] = [self._book(cached) for cached in CACHED]

    def enforce_told(self, enforce: Callable[..., Assessment]) -> Callable[..., Assessment]:
        """`enforce`, listened in on."""

        def listening(step: Assessment, charges: Charges, standing: Standing) -> Assessment:
            self.told.append(Told(step, standing.thresholds))
            return enforce(step, charges, standing)

        return listening

    def run(self, operation: Operation) -> None:
        """Let an operation happen now; one of a replica that is at work does not."""
        match operation:
            case Assess() if operation.replica not in self.busy:
                self._assess(operation)
            case Fail() if self.frames:
                self.frames[-1].failing = operation
            case Forget() if operation.replica not in self.busy:
                self.books[operation.replica].forget(operation.owner)
            case Restart() if operation.replica not in self.busy:
                self.books[operation.replica] = self._book(CACHED[operation.replica])
            case Erase():
                self._erase(operation.owner)
            case Regress():
                self._regress(operation)

    def check_lists(self) -> None:
        """All records of a class are farther than r from each other."""
        for owner in OWNERS:
            for label in range(CLASSES):
                key = key_of(owner, label)
                records = self.store.state(key).astype(np.float64)
                if len(records) < 2 or key in self.confused:
                    continue
                for place, record in enumerate(records[1:], 1):
                    nearest = nearest_distances(records[:place], record[None])[0]
                    assert nearest > GEOMETRY.coverage_radius[label]

    def _book(self, cached: int) -> LedgerBook:
        def count(result: str) -> None:
            self.counts[result] = self.counts.get(result, 0) + 1

        return book_of(
            GEOMETRY,
            Interleaved(self.store, self._call),  # type: ignore[arg-type] - what the engine uses
            cached_accounts=cached,
            meter=METER,
            listeners=Listeners(count_append=count),
            recheck=Recheck(0.0, lambda: float(self.store.time)),
        )

    def _call(self, effect: Callable[[], Any]) -> Any:
        frame = self.frames[-1]
        frame.calls += 1
        for at, operation in frame.meanwhile:
            if at == frame.calls:
                self.run(operation)
        failing, frame.failing = frame.failing, None
        frame.has_failed |= failing is not None
        if failing is not None and not failing.is_after:
            raise DependencyUnavailable("expected an answer, got none")
        self.store.operation = frame.number
        answer = effect()
        self._follow_chains()
        if failing is not None:
            raise DependencyUnavailable("expected an answer, got none")
        return answer

    def _assess(self, operation: Assess) -> None:
        queries = self._draw(operation.seed, operation.rows)
        self.numbers += 1
        frame = Frame(self.numbers, self.store.time, operation.meanwhile)
        book = self.books[operation.replica]
        known = self._known(book, queries)
        self.frames.append(frame)
        self.busy.add(operation.replica)
        try:
            book.assess(queries)
        except DependencyUnavailable:
            return
        finally:
            self.frames.pop()
            self.busy.remove(operation.replica)
        told = self.told.pop()
        self._check(queries, told, frame)
        self._check_repaired(queries, told, frame, known)

    def _draw(self, seed: int, rows: int) -> Queries:
        """New points, and some that were asked before, by anybody."""
        rng = np.random.default_rng(seed)
        points, labels = stream(GEOMETRY, seed, rows, reach=1.3)
        fresh = [(point, int(label)) for point, label in zip(points, labels, strict=True)]
        again = [
            self.pool[rng.integers(len(self.pool))] if self.pool and rng.random() < 0.4 else one
            for one in fresh
        ]
        self.pool += fresh
        points = np.array([point for point, _ in again])
        return batch_of(
            POLICIES, points, np.array([label for _, label in again]), rng.integers(0, 3, rows)
        )

    def _erase(self, owner: str) -> None:
        self.store.erase(owner, [GEOMETRY.digest], 0)
        self.store.note()
        for label in range(CLASSES + 1):
            key = key_of(owner, label)
            self.cut[key] = self.store.time
            self.lost.pop(key, None)
            self.confused.discard(key)
        self.chains = {link: chain for link, chain in self.chains.items() if link[0][0] != owner}

    def _regress(self, operation: Regress) -> None:
        for label in operation.labels:
            key = key_of(operation.owner, label)
            before = self.store.state(key)
            gone = self.store.truncate(key, max(0, len(before) - operation.count))
            self.store.note()
            if gone:
                self.cut[key] = self.store.time
                self.lost.setdefault(key, []).extend(before[len(before) - gone :])

    def _follow_chains(self) -> None:
        """Find lists that no replica can tell from what they were.

        A record that is again at the very place that it had, behind others than then, looks
        to whoever knew the old list as if nothing were lost.
        """
        for owner in OWNERS:
            for label in range(CLASSES + 1):
                key = key_of(owner, label)
                records = self.store.state(key)
                for place in range(len(records)):
                    chain = records[:place].tobytes()
                    link = (key, place, records[place].tobytes())
                    if self.chains.setdefault(link, chain) != chain:
                        self.confused.add(key)

    def _known(self, book: LedgerBook, queries: Queries) -> dict[LedgerKey, np.ndarray]:
        """The records that a replica has in memory of the lists that it is about to reach."""
        known = {}
        for policy in charge_owners(queries)[0].accounts:
            account = book.cache.get(policy.account_id)
            for label in () if account is None else account.numbers:
                known[key_of(policy.account_id, label)] = account.records(label)
        return known

    def _check(self, queries: Queries, told: Told, frame: Frame) -> None:
        """Every ledger's rows are those of the step alone, on a state that the ledger had."""
        charged, _ = charge_owners(queries)
        for key, rows in _ledgers(charged):
            if key in self.confused:
                continue
            verdicts = told.step.verdicts[rows]
            recorded = charged.embeddings[rows[verdicts == Verdict.RECORD]]
            if len(recorded):
                mine = [
                    taken.before
                    for taken in self.store.taken
                    if (taken.operation, taken.key) == (frame.number, key)
                    and taken.records.tobytes() == recorded.tobytes()
                ]
                assert mine, "told of records that the store never took"
                candidates = mine[-1:]
            else:
                # What is stale may be too mild, but too harsh it may not be,
                # unless the store did not say what became of a spent account.
                is_harsh = Verdict.REVERSE in verdicts and not frame.has_failed
                candidates = self.store.states(key, frame.begun if is_harsh else 0)
            assert any(_agrees(charged, rows, told, state) for state in candidates), (
                "expected what the step says of a state of the ledger, got another"
            )

    def _check_repaired(
        self, queries: Queries, told: Told, frame: Frame, known: dict[LedgerKey, np.ndarray]
    ) -> None:
        """A replica that knew lost records, and met the list, gave them back."""
        if frame.has_failed:
            # It could not ask; the next touch is another chance.
            return
        charged, _ = charge_owners(queries)
        for key, rows in _ledgers(charged):
            if key not in known or key in self.confused or self.cut.get(key, 0) > frame.begun:
                continue
            is_spent = _cqs(known[key], key.label) > told.thresholds[rows[0]]
            if not is_spent and Verdict.RECORD not in told.step.verdicts[rows]:
                continue
            mine = {record.tobytes() for record in known[key]}
            for record in self.lost.get(key, []):
                if record.tobytes() in mine:
                    nearest = nearest_distances(self.store.state(key), record[None])[0]
                    assert nearest <= GEOMETRY.coverage_radius[key.label]


def key_of(owner: str, label: int) -> LedgerKey:
    """The key of one list."""
    return LedgerKey(owner, GEOMETRY.digest, label)


def _ledgers(charged: Queries) -> list[tuple[LedgerKey, np.ndarray]]:
    """The ledgers that charged rows reach, each with its rows."""
    pairs = charged.account_index * CLASSES + charged.labels
    found = []
    for pair in np.unique(pairs).tolist():
        owner, label = divmod(pair, CLASSES)
        found.append(
            (key_of(charged.accounts[owner].account_id, label), np.flatnonzero(pairs == pair))
        )
    return found


def _cqs(records: Records, label: int) -> float:
    weights = record_weights(GEOMETRY, records, np.full(len(records), label))
    return float(np.add.accumulate(weights)[-1]) if len(weights) else 0.0


def _agrees(charged: Queries, rows: np.ndarray, told: Told, state: Records) -> bool:
    """Whether the step alone, on this state of the ledger, says the same to the last bit."""
    embeddings, labels = charged.embeddings[rows], charged.labels[rows]
    alone = assess_rows(
        GEOMETRY,
        LedgerRows(embeddings, labels, np.zeros(len(rows), np.int64)),
        nearest_distances(state, embeddings),
        LedgerLevels(np.array([_cqs(state, int(labels[0]))]), told.thresholds[rows[:1]]),
    )
    return all(
        np.array_equal(getattr(alone, name), getattr(told.step, name)[rows])
        for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after")
    )
