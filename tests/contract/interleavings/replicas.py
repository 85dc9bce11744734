"""Replicas over one store, in one thread, whose calls are interleaved on purpose.

The engine of a replica reaches the store through a wrapper that lets pending operations of
other replicas happen between its calls. So every lost compare-and-set is lost by design, and
the engine's decisions can be compared with the ledger step alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy, Queries, charge_owners
from queen_sensitivity.ledger_store import LedgerKey, Records
from queen_sensitivity.ledgers.account_cache import Recheck

from queen.errors import DependencyUnavailable
from queen.method.crossing import CrossingPolicy, Thresholds, published
from queen.method.enforcement import Charges, Scope, Standing
from queen.method.ledger import Assessment, Verdict
from queen.method.neighbors import nearest_distances
from queen.owners import group_owner
from tests.contract.interleavings.operations import (
    Assess,
    Erase,
    Fail,
    Forget,
    Operation,
    Regress,
    Restart,
)
from tests.contract.interleavings.step import (
    GEOMETRY,
    Decision,
    agrees_in_parts,
    cqs_of,
    key_of,
    ledgers_of,
)
from tests.contract.interleavings.watched_store import Accepted, InterleavedStore, WatchedStore
from tests.unit.sensitivity.regions import CLASSES, batch_of, book_of, counting, meter_of, stream

METER = meter_of(GEOMETRY, limit=5.0)
NORTH = CrossingPolicy(9, 2)
POLICIES = (
    AccountPolicy("a", CrossingPolicy(4, 2), Scope.QUERY, "north", NORTH),
    AccountPolicy("b", CrossingPolicy(6), Scope.CLASS, "north", NORTH),
    AccountPolicy("c", CrossingPolicy(3, 2, 3), Scope.ACCOUNT),
)
OWNERS = (*(policy.account_id for policy in POLICIES), group_owner("north"))
THRESHOLDS = Thresholds(GEOMETRY, np.full(CLASSES, 0.4), published(12))
"""As those of the engine."""
CACHED = (10, 10, 2)
"""Accounts in memory, of each replica."""
REPEATED = 0.4
"""Share of a batch's queries that were sent before, by any account."""


@dataclass
class Batch:
    """A batch that a replica is assessing, since the time `begun`."""

    number: int
    begun: int
    meanwhile: tuple[tuple[int, Operation], ...] = ()
    calls: int = 0
    failing: Fail | None = None
    has_failed: bool = False


class Replicas:
    """Replicas, their store, and the checks of their decisions."""

    def __init__(self, store: WatchedStore) -> None:
        self.store = store
        self.counts = Counter[str]()
        """Answers to appends, by kind."""
        self._decisions: list[Decision] = []
        self._batches: list[Batch] = []
        """The batches under way, the innermost last."""
        self._busy: set[int] = set()
        self._batch_count = 0
        self._sent: list[tuple[np.ndarray, int]] = []
        self._lost: dict[LedgerKey, list[np.ndarray]] = {}
        self._erased: dict[str, list[int]] = {}
        """When an owner was erased."""
        self._cut: dict[LedgerKey, int] = {}
        """When a list last lost records."""
        self._prefixes: dict[tuple[LedgerKey, int, bytes], bytes] = {}
        self._ambiguous: set[LedgerKey] = set()
        self._books: list[LedgerBook] = [self._book(cached) for cached in CACHED]

    def watching(self, enforce: Callable[..., Assessment]) -> Callable[..., Assessment]:
        """`enforce` of the engine, which also notes the step that it gets."""

        def noting(step: Assessment, charges: Charges, standing: Standing) -> Assessment:
            self._decisions.append(Decision(step, standing.thresholds))
            return enforce(step, charges, standing)

        return noting

    def run(self, operation: Operation) -> None:
        """Let an operation happen now; an operation of a busy replica does not."""
        match operation:
            case Assess() if operation.replica not in self._busy:
                self._assess(operation)
            case Fail() if self._batches:
                self._batches[-1].failing = operation
            case Forget() if operation.replica not in self._busy:
                self._books[operation.replica].forget(operation.owner)
            case Restart() if operation.replica not in self._busy:
                self._books[operation.replica] = self._book(CACHED[operation.replica])
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
                if len(records) < 2 or key in self._ambiguous:
                    continue
                for row, record in enumerate(records[1:], 1):
                    nearest = nearest_distances(records[:row], record[None])[0]
                    assert nearest > GEOMETRY.coverage_radius[label]

    def _book(self, cached: int) -> LedgerBook:
        return book_of(
            GEOMETRY,
            InterleavedStore(self.store, self._call),  # type: ignore[arg-type] - what the engine uses
            cached_accounts=cached,
            meter=METER,
            listeners=counting(self.counts),
            recheck=Recheck(0.0, lambda: float(self.store.time)),
        )

    def _call(self, effect: Callable[[], Any]) -> Any:
        batch = self._batches[-1]
        batch.calls += 1
        for call, operation in batch.meanwhile:
            if call == batch.calls:
                self.run(operation)
        failing, batch.failing = batch.failing, None
        batch.has_failed |= failing is not None
        if failing is not None and not failing.is_after:
            raise DependencyUnavailable("expected an answer, got none")
        self.store.batch = batch.number
        answer = effect()
        self._note_ambiguous()
        if failing is not None:
            raise DependencyUnavailable("expected an answer, got none")
        return answer

    def _assess(self, operation: Assess) -> None:
        queries = self._draw(operation.seed, operation.rows)
        self._batch_count += 1
        batch = Batch(self._batch_count, self.store.time, operation.meanwhile)
        book = self._books[operation.replica]
        known = self._known(book, queries)
        self._batches.append(batch)
        self._busy.add(operation.replica)
        try:
            failures = book.assess(queries).failures
        except DependencyUnavailable:
            return
        finally:
            self._batches.pop()
            self._busy.remove(operation.replica)
        decision = self._decisions.pop()
        charged, charges, _ = charge_owners(queries)
        is_told = (
            np.ones(len(charged), np.bool_) if failures is None else failures[charges.row] == 0
        )
        self._check(charged, decision, batch, is_told)
        self._check_over(charged, decision, batch)
        self._check_repaired(charged, decision, batch, known)

    def _known(self, book: LedgerBook, queries: Queries) -> dict[LedgerKey, Records]:
        """The records that a replica has in memory of the lists that it is about to reach.

        Those of an erased owner do not count: the replica is about to learn that they are void.
        """
        known = {}
        for policy in charge_owners(queries).rows.accounts:
            owner = policy.account_id
            account = book.cache.get(owner)
            (generation,) = self.store.generations([owner], GEOMETRY.digest)
            if account is not None and account.generation == generation:
                for label in account.numbers:
                    known[key_of(owner, label)] = account.records(label)
        return known

    def _draw(self, seed: int, rows: int) -> Queries:
        """New points, and some that were sent before, by any account."""
        rng = np.random.default_rng(seed)
        points, labels = stream(GEOMETRY, seed, rows, reach=1.3)
        fresh = [(point, int(label)) for point, label in zip(points, labels, strict=True)]
        drawn = [
            self._sent[rng.integers(len(self._sent))]
            if self._sent and rng.random() < REPEATED
            else query
            for query in fresh
        ]
        self._sent += fresh
        return batch_of(
            POLICIES,
            np.array([point for point, _ in drawn]),
            np.array([label for _, label in drawn]),
            rng.integers(0, 3, rows),
        )

    def _erase(self, owner: str) -> None:
        self.store.erase(owner, [GEOMETRY.digest], 0)
        self.store.note()
        self._erased.setdefault(owner, []).append(self.store.time)
        for label in range(CLASSES + 1):
            key = key_of(owner, label)
            self._cut[key] = self.store.time
            self._lost.pop(key, None)
            self._ambiguous.discard(key)
        self._prefixes = {
            position: prefix
            for position, prefix in self._prefixes.items()
            if position[0].account_id != owner
        }

    def _regress(self, operation: Regress) -> None:
        for label in operation.labels:
            key = key_of(operation.owner, label)
            before = self.store.state(key)
            gone = self.store.truncate(key, max(0, len(before) - operation.count))
            self.store.note()
            if gone:
                self._cut[key] = self.store.time
                self._lost.setdefault(key, []).extend(before[len(before) - gone :])

    def _note_ambiguous(self) -> None:
        """Note lists that no replica can tell from what they were.

        If a record is again at the position that it had, behind other records than then, a
        replica that knew the old list sees no loss. Such lists are not checked.
        """
        for owner in OWNERS:
            for label in range(CLASSES + 1):
                key = key_of(owner, label)
                records = self.store.state(key)
                for row in range(len(records)):
                    prefix = records[:row].tobytes()
                    position = (key, row, records[row].tobytes())
                    if self._prefixes.setdefault(position, prefix) != prefix:
                        self._ambiguous.add(key)

    def _check(
        self, charged: Queries, decision: Decision, batch: Batch, is_told: np.ndarray
    ) -> None:
        """The rows of every ledger are decided as by the step alone, on a state of the ledger.

        Rows of queries that failed, which are not `is_told` (R,), are no part of a ledger, unless
        they were recorded: another owner of their query failed then.
        """
        is_told = is_told | (decision.step.verdicts == Verdict.RECORD)
        for key, every_row in ledgers_of(charged):
            rows = every_row[is_told[every_row]]
            if key in self._ambiguous or not len(rows):
                continue
            verdicts = decision.step.verdicts[rows]
            recorded = charged.embeddings[rows[verdicts == Verdict.RECORD]]
            if len(recorded):
                own = [
                    accepted
                    for accepted in self.store.accepted
                    if (accepted.batch, accepted.key) == (batch.number, key)
                ]
                histories = list(_ways(own, recorded.tobytes()))
                assert histories, "the engine tells of records that the store never accepted"
            else:
                # An old state may make a verdict too mild but not too harsh, unless the store
                # did not answer for an account over its budget.
                is_harsh = Verdict.REVERSE in verdicts and not batch.has_failed
                states = self.store.states(key, batch.begun if is_harsh else 0)
                histories = [[state] for state in states]
            assert any(agrees_in_parts(charged, rows, decision, states) for states in histories), (
                "expected the decision of the step on a state of the ledger, got another"
            )

    def _check_over(self, charged: Queries, decision: Decision, batch: Batch) -> None:
        """An owner that is said to be over is so by records that the store has acknowledged."""
        if batch.has_failed:
            # An erasure may be unknown: the store did not answer for an account over its budget.
            return
        for owner in np.unique(charged.account_index[decision.step.is_over]).tolist():
            policy = charged.accounts[owner]
            erasures = self._erased.get(policy.account_id, [])
            since = max((time for time in erasures if time <= batch.begun), default=0)
            keys = [key_of(policy.account_id, label) for label in range(CLASSES)]
            if self._ambiguous & set(keys):
                continue
            levels = [
                max(cqs_of(state, key.label) for state in self.store.states(key, since))
                for key in keys
            ]
            assert _are_over(policy, levels), (
                "expected an owner over its budget by its records, got one that never was"
            )

    def _check_repaired(
        self,
        charged: Queries,
        decision: Decision,
        batch: Batch,
        known: dict[LedgerKey, Records],
    ) -> None:
        """A replica that knew lost records, and reached their list, gave them back."""
        if batch.has_failed:
            # The replica could not ask; it repairs the list the next time that it reaches it.
            return
        for key, rows in ledgers_of(charged):
            is_cut_since = self._cut.get(key, 0) > batch.begun
            if key not in known or key in self._ambiguous or is_cut_since:
                continue
            is_crossed = cqs_of(known[key], key.label) > decision.thresholds[rows[0]]
            is_asked = is_crossed and _is_over(charged, int(rows[0]), known)
            if not is_asked and Verdict.RECORD not in decision.step.verdicts[rows]:
                continue
            own = {record.tobytes() for record in known[key]}
            for record in self._lost.get(key, []):
                if record.tobytes() in own:
                    nearest = nearest_distances(self.store.state(key), record[None])[0]
                    assert nearest <= GEOMETRY.coverage_radius[key.label]


def _ways(appends: Sequence[Accepted], recorded: bytes) -> Iterator[list[Records]]:
    """The lists before those of the `appends` that make up the records; repairs are among them."""
    if not recorded:
        yield []
        return
    for index, accepted in enumerate(appends):
        told = accepted.records.tobytes()
        if recorded.startswith(told):
            for rest in _ways(appends[index + 1 :], recorded[len(told) :]):
                yield [accepted.before, *rest]


def _is_over(charged: Queries, row: int, known: dict[LedgerKey, Records]) -> bool:
    """Whether the owner of a row is over its budget by the lists that a replica knows."""
    policy = charged.accounts[charged.account_index[row]]
    keys = [key_of(policy.account_id, label) for label in range(CLASSES)]
    return _are_over(policy, [cqs_of(known[key], key.label) if key in known else 0 for key in keys])


def _are_over(policy: AccountPolicy, levels: list[float]) -> bool:
    """Whether cqs by class are over the budget of a policy."""
    limits = THRESHOLDS.of_policy(policy.crossing)
    return not limits.lacking(np.array([levels]))[0]
