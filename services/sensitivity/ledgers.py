"""The engine: micro-batches against the ledgers of many accounts (no gRPC here).

The store is the truth and this is a cache of it at a known version. Only a batch that
records something needs the store: a verdict on a stale ledger can only be too mild,
never too harsh, and a record is made under the store's compare-and-set alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerConflict, LedgerError
from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment, Charges, Scope, assess_rows, enforce
from queen.method.off_distribution import OffDistributionMeter
from queen.method.sensitivity import center_distances, record_weight

from .account_ledger import AccountLedger, ClassLedger, LedgerFactory
from .faiss_index import NeighborSearch
from .ledger_store import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    LedgerKey,
    LedgerStore,
    Regressed,
    ServerSideAppend,
)
from .server_side import jittered_pause, novel_append, settled_rows
from .thresholds import Thresholds

APPEND_ATTEMPTS = 8
STORE_ATTEMPTS = 8
CAS_RESULTS = ("appended", "conflict", "regressed", "fallback")
GROUP_PREFIX = "group "
"""Of the ids of groups in the store; the front door takes no account id with a space."""


@dataclass(frozen=True)
class AccountPolicy:
    """Who is charged, and what a spent budget does.

    Budgets are records of a class, 0 for the service's own. `group`, if not empty, names
    the accounts that are also charged together, against `group_budget`.
    """

    account_id: str
    budget: int = 0
    scope: Scope = Scope.QUERY
    group: str = ""
    group_budget: int = 0


@dataclass(frozen=True, eq=False)
class Queries:
    """A micro-batch of B queries of `accounts`, distinct, in order."""

    accounts: Sequence[AccountPolicy]
    account_index: NDArray[np.integer]
    """(B,) into `accounts`."""
    labels: NDArray[np.integer]
    """(B,) predicted classes."""
    embeddings: NDArray[np.float32]
    """(B, E)."""

    def __len__(self) -> int:
        return len(self.labels)


class LedgerBook:
    """Verdicts on queries, and the records that follow from them.

    Not thread-safe: one dispatcher thread takes the micro-batches in turn, so a replica
    never conflicts with itself. Of `cached_accounts` the least recently used leave first.
    """

    def __init__(
        self,
        geometry: Geometry,
        thresholds: Thresholds,
        store: LedgerStore,
        *,
        cached_accounts: int,
        meter: OffDistributionMeter | None = None,
        count_append: Callable[[str], None] = lambda _: None,
        pause: Callable[[int], None] = jittered_pause,
    ) -> None:
        self._geometry = geometry
        self._meter = meter
        self._thresholds = thresholds
        self._store = store
        self._neighbors = NeighborSearch(geometry)
        self._factory = LedgerFactory(geometry, self._neighbors)
        self._cached_accounts = cached_accounts
        self._accounts: OrderedDict[str, AccountLedger] = OrderedDict()
        self._count_append = count_append
        self._pause = pause

    @property
    def accounts_cached(self) -> int:
        """Accounts in memory."""
        return len(self._accounts)

    @property
    def records_cached(self) -> int:
        """Records in memory, over all accounts."""
        return sum(
            ledger.version
            for account in self._accounts.values()
            for ledger in account.classes.values()
        )

    def assess(self, queries: Queries) -> Assessment:
        """Verdicts on `queries`; whatever they record is in the store when this returns.

        Raises InvalidQuery for a budget above the packing limit, DependencyUnavailable if
        the store does not answer, and LedgerConflict if another writer kept winning.
        """
        charged, charges = charge_owners(queries)
        try:
            touched = self._touch(charged)
            is_crossed = touched.crossed_owners()
            step = self._decide(charged, touched)
            is_off = self._meter_rows(charged, touched, step)
        except BaseException:
            # Nobody knows what the store took: read it again before the next verdict.
            for policy in charged.accounts:
                self._accounts.pop(policy.account_id, None)
            raise
        finally:
            while len(self._accounts) > self._cached_accounts:
                self._accounts.popitem(last=False)
        thresholds = touched.thresholds[touched.ledger_index]
        return enforce(step, charges, thresholds, is_crossed, is_off)

    def _touch(self, queries: Queries) -> _Touched:
        """The distinct ledgers that the batch reaches."""
        tables = np.stack([self._thresholds.table(policy.budget) for policy in queries.accounts])
        accounts = [self._account(policy.account_id) for policy in queries.accounts]
        classes = self._geometry.num_classes
        pairs = queries.account_index.astype(np.int64) * classes + queries.labels
        distinct, ledger_index = np.unique(pairs, return_inverse=True)
        owners, labels = np.divmod(distinct, classes)
        places = list(zip(owners.tolist(), labels.tolist(), strict=True))
        return _Touched(accounts, places, ledger_index, tables, tables[owners, labels])

    def _account(self, account_id: str) -> AccountLedger:
        account = self._accounts.get(account_id)
        if account is None:
            stored = self._store.load(account_id, self._geometry.digest)
            account = self._accounts[account_id] = self._factory.restore(stored)
        self._accounts.move_to_end(account_id)
        return account

    def _decide(self, queries: Queries, touched: _Touched) -> Assessment:
        decided = _empty_assessment(len(queries))
        rows = np.arange(len(queries))
        for attempt in range(APPEND_ATTEMPTS):
            self._pause(attempt)
            step = self._step(queries, touched, rows)
            lost = self._record(queries, touched, rows, step)
            # Ledgers are independent, so only those that lost the race are taken again.
            again = np.isin(touched.ledger_index[rows], lost)
            _fill(decided, rows[~again], step, ~again)
            rows = rows[again]
            if not len(rows):
                return decided
        for number in np.unique(touched.ledger_index[rows]).tolist():
            waiting = rows[touched.ledger_index[rows] == number]
            self._decide_at_store(queries, touched, number, waiting, decided)
        return decided

    def _decide_at_store(
        self,
        queries: Queries,
        touched: _Touched,
        number: int,
        rows: NDArray[np.integer],
        decided: Assessment,
    ) -> None:
        """Have the store take the rows of a ledger on which other writers kept winning."""
        idle = 0
        while len(rows):
            if idle == STORE_ATTEMPTS or not isinstance(self._store, ServerSideAppend):
                raise LedgerConflict(
                    f"another writer was first {APPEND_ATTEMPTS} times in a row on the same ledger"
                )
            settled, recorded = self._take_at_store(self._store, queries, touched, number, rows)
            step = self._step(queries, touched, settled)
            if not np.array_equal(settled[step.recorded], recorded):
                raise LedgerError("expected the store to decide as the ledger step does")
            owner, label = touched.places[number]
            self._factory.extend(touched.accounts[owner], label, queries.embeddings[recorded])
            _fill(decided, settled, step, np.ones(len(settled), np.bool_))
            rows = rows[len(settled) :]
            # Without a row settled, somebody else appended in between.
            idle = 0 if len(settled) else idle + 1

    def _take_at_store(
        self,
        store: ServerSideAppend,
        queries: Queries,
        touched: _Touched,
        number: int,
        rows: NDArray[np.integer],
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """One call: the rows that it settled, and those of them that are now in the store."""
        owner, label = touched.places[number]
        account = touched.accounts[owner]
        nearest = self._nearest(queries, touched, rows)
        candidates = rows[nearest > self._geometry.coverage_radius[label]]
        if not len(candidates):
            return rows, candidates
        append = self._append(queries, touched, number, queries.embeddings[candidates])
        ledger = account.classes.get(label)
        cqs, threshold = 0.0 if ledger is None else ledger.cqs, float(touched.thresholds[number])
        result = store.append_if_novel(novel_append(self._geometry, append, cqs, threshold))
        if isinstance(result, Regressed):
            self._catch_up(account, append, result)
            return rows[:0], rows[:0]
        self._count_append("fallback")
        self._factory.extend(account, label, result.missing_tail)
        return settled_rows(rows, candidates, result)

    def _step(self, queries: Queries, touched: _Touched, rows: NDArray[np.integer]) -> Assessment:
        """The ledger step on some rows, against the ledgers as they are cached."""
        embeddings, labels = queries.embeddings[rows], queries.labels[rows]
        ledger_index = touched.ledger_index[rows]
        nearest = self._nearest(queries, touched, rows)
        ledgers = touched.ledgers()
        cqs = np.array([0.0 if ledger is None else ledger.cqs for ledger in ledgers])
        return assess_rows(
            self._geometry, embeddings, labels, ledger_index, nearest, cqs, touched.thresholds
        )

    def _nearest(
        self, queries: Queries, touched: _Touched, rows: NDArray[np.integer]
    ) -> FloatArray:
        """Distance of each row to the nearest record of its ledger, 0 outside its region."""
        embeddings, labels = queries.embeddings[rows], queries.labels[rows]
        # A row outside its region is PRESERVE whatever lies near it.
        nearest = np.zeros(len(rows))
        distances = center_distances(self._geometry, embeddings, labels)
        inside = np.flatnonzero(distances < self._geometry.sensitive_radius[labels])
        if len(inside):
            nearest[inside] = self._neighbors.nearest(
                [None if ledger is None else ledger.index for ledger in touched.ledgers()],
                touched.ledger_index[rows[inside]],
                embeddings[inside],
                labels[inside],
            )
        return nearest

    def _record(
        self,
        queries: Queries,
        touched: _Touched,
        rows: NDArray[np.integer],
        step: Assessment,
    ) -> list[int]:
        """Append what the step recorded; ledgers that another writer had changed come back."""
        recorded = step.recorded
        if not len(recorded):
            return []
        ledger_index = touched.ledger_index[rows[recorded]]
        order = np.argsort(ledger_index, kind="stable")
        recorded, ledger_index = recorded[order], ledger_index[order]
        numbers, starts = np.unique(ledger_index, return_index=True)
        embeddings = queries.embeddings[rows[recorded]]
        pieces = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(recorded)], strict=True)]
        appends = [
            self._append(queries, touched, number, embeddings[piece])
            for number, piece in zip(numbers.tolist(), pieces, strict=True)
        ]
        results = self._store.append_many(appends)

        offsets = self._neighbors.offsets(embeddings, queries.labels[rows[recorded]])
        weights = record_weight(self._geometry, step.sqs[recorded])
        lost: list[int] = []
        for number, piece, append, result in zip(
            numbers.tolist(), pieces, appends, results, strict=True
        ):
            owner, label = touched.places[number]
            account = touched.accounts[owner]
            if isinstance(result, Appended):
                self._count_append("appended")
                ledger = self._factory.class_ledger(account, label)
                ledger.extend(append.records, offsets[piece], weights[piece])
            else:
                self._catch_up(account, append, result)
                lost.append(number)
        return lost

    def _meter_rows(
        self, charged: Queries, touched: _Touched, step: Assessment
    ) -> NDArray[np.bool_]:
        """Whether each row's owner was off-distribution before it, (R,); new marks are kept."""
        is_off = np.zeros(len(charged), np.bool_)
        if self._meter is None:
            return is_off
        is_far = self._meter.is_far(step.distances, charged.labels)
        order = np.argsort(charged.account_index, kind="stable")
        owners = np.arange(len(touched.accounts) + 1)
        bounds = np.searchsorted(charged.account_index[order], owners).tolist()
        for owner, account in enumerate(touched.accounts):
            rows = order[bounds[owner] : bounds[owner + 1]]
            taken = account.meter.take(self._meter, is_far[rows], charged.embeddings[rows])
            is_off[rows] = taken.is_off
            for mark in taken.marks:
                self._keep_mark(charged.accounts[owner].account_id, account, mark)
        return is_off

    def _keep_mark(self, owner_id: str, account: AccountLedger, mark: float) -> None:
        """Put a high-water mark of the meter behind those in the store, unless it is surpassed."""
        key = LedgerKey(owner_id, self._geometry.digest, self._geometry.num_classes)
        for _ in range(APPEND_ATTEMPTS):
            if account.meter.peak >= mark:
                return
            append = Append(key, len(account.meter.marks), account.meter.as_record(mark))
            (result,) = self._store.append_many([append])
            if isinstance(result, Appended):
                self._count_append("appended")
                account.meter.extend(append.records)
                return
            self._catch_up(account, append, result)
        raise LedgerConflict(f"another writer was first {APPEND_ATTEMPTS} times on a meter")

    def _append(
        self, queries: Queries, touched: _Touched, number: int, records: NDArray[np.float32]
    ) -> Append:
        owner, label = touched.places[number]
        ledger = touched.accounts[owner].classes.get(label)
        key = LedgerKey(queries.accounts[owner].account_id, self._geometry.digest, label)
        return Append(key, 0 if ledger is None else ledger.version, records)

    def _catch_up(self, account: AccountLedger, append: Append, result: AppendResult) -> None:
        """Bring cache and store together after a lost compare-and-set."""
        if isinstance(result, Conflict):
            self._count_append("conflict")
            self._factory.extend(account, append.key.label, result.missing_tail)
            return
        # The store forgot acknowledged records (a failover): give them back. If another
        # replica is doing the same, the next attempt finds out.
        self._count_append("regressed")
        known = self._factory.records_of(account, append.key.label)
        records = known[result.version :]
        self._store.append_many([Append(append.key, result.version, records)])


@dataclass(frozen=True, eq=False)
class _Touched:
    """The L ledgers of a batch: `places` are (owner, class), `thresholds` T (L,).

    `tables` are the thresholds of all classes of the O owners, (O, C).
    """

    accounts: list[AccountLedger]
    places: list[tuple[int, int]]
    ledger_index: NDArray[np.integer]
    tables: FloatArray
    thresholds: FloatArray

    def crossed_owners(self) -> NDArray[np.bool_]:
        """Whether any class of an owner is over its threshold now, (O,)."""
        pairs = zip(self.accounts, self.tables, strict=True)
        return np.array([account.is_crossed(table) for account, table in pairs], np.bool_)

    def ledgers(self) -> list[ClassLedger | None]:
        """The ledgers as they are now; None where nothing was recorded yet."""
        accounts = self.accounts
        return [accounts[owner].classes.get(label) for owner, label in self.places]


def charge_owners(queries: Queries) -> tuple[Queries, Charges]:
    """The batch as it is charged: every query to its account, and again to its group.

    Groups are owners of ledgers like accounts; the rows that charge them stand behind the
    B rows of the accounts, in the same order.
    """
    groups = list(dict.fromkeys(policy.group for policy in queries.accounts if policy.group))
    scopes = np.array([policy.scope for policy in queries.accounts], np.uint8)
    every = np.arange(len(queries))
    index = queries.account_index.astype(np.int64)
    if not groups:
        return queries, Charges(every, index, scopes[index])
    places = {group: len(queries.accounts) + number for number, group in enumerate(groups)}
    budgets = {policy.group: policy.group_budget for policy in queries.accounts}
    group_of = np.array([places.get(policy.group, -1) for policy in queries.accounts])[index]
    rows = np.concatenate([every, np.flatnonzero(group_of >= 0)])
    owner = np.concatenate([index, group_of[group_of >= 0]])
    owners = [AccountPolicy(group_owner(group), budgets[group]) for group in groups]
    charged = Queries(
        [*queries.accounts, *owners], owner, queries.labels[rows], queries.embeddings[rows]
    )
    return charged, Charges(rows, owner, scopes[index])


def group_owner(group: str) -> str:
    """Id under which the ledger of a group is kept; no account id begins like it."""
    return GROUP_PREFIX + group


def _empty_assessment(rows: int) -> Assessment:
    distances, sqs, before, after = (np.zeros(rows) for _ in range(4))
    return Assessment(np.zeros(rows, np.uint8), distances, sqs, before, after)


def _fill(
    into: Assessment, rows: NDArray[np.integer], step: Assessment, take: NDArray[np.bool_]
) -> None:
    for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after"):
        getattr(into, name)[rows] = getattr(step, name)[take]
