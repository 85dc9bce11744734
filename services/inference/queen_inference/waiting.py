"""Requests that wait for the protectee: how many may, and whose turn it is."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from queen.errors import Overloaded
from queen.serving.fairness.fair_queue import FairQueue, Payer
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending

REQUEST_ROWS = 16
"""Rows that a request is charged beside its own: its decoding costs as much, given up or not."""


class WaitingRequests:
    """Waiting requests, by group and account in turn, and the rows of those that run.

    Groups, and accounts without one, are the owners that share the protectee. Requests hold room
    until the work on them is over, not until the caller leaves: callers who leave early and come
    again would have no bound.
    """

    def __init__(self, queue_rows: int, account_rows: int, metrics: InferenceMetrics) -> None:
        self._most_rows = queue_rows
        self._most_account_rows = account_rows
        self._metrics = metrics
        self._line: FairQueue[Pending] = FairQueue()
        self._owner_rows: Tally[str] = Tally()
        self._account_rows: Tally[str] = Tally()
        self.rows = 0
        """Queries that wait or run."""

    def __bool__(self) -> bool:
        """Whether any request waits."""
        return bool(self._line)

    @property
    def owners(self) -> int:
        """Owners with a waiting request."""
        return self._line.owners

    def append(self, pending: Pending) -> None:
        """Let a request wait for its turn; Overloaded if there is no room for it.

        In a full queue the newest requests of the owner that holds most give way, as long as it
        holds more than the owner of this one would; and else those of the member of its own group
        that holds most, as long as that holds more than its account would.
        """
        self._require_account_room(pending)
        self._make_room(pending)
        self._hold(pending, pending.rows)
        self._line.append(pending.payer, pending)

    def release(self, requests: Iterable[Pending]) -> None:
        """Give back the room that requests hold, once for each request."""
        for pending in requests:
            self._hold(pending, -pending.rows)

    def first(self, now: float) -> Pending | None:
        """The request whose turn it is; those that were given up, or are late, are dropped.

        These are charged as if they had run: otherwise rows that nobody waits for would be free.
        """
        while (pending := self._line.first()) is not None:
            if not self._is_over(pending, now):
                return pending
            self._line.pop(_cost(pending, pending.rows - pending.begun))
            self.release([pending])
        return None

    def begin(self, pending: Pending, rows: int) -> slice:
        """Charge the next `rows` of the first request, which leaves the line with its last row."""
        cost = _cost(pending, rows)
        start = pending.begun
        pending.begun += rows
        if pending.is_begun:
            self._line.pop(cost)
        else:
            self._line.serve(cost)
        return slice(start, pending.begun)

    def refuse_all(self) -> None:
        """Refuse all that wait, since the service ends."""
        for pending in self._line:
            pending.fail(Overloaded("the service is shutting down"))

    def _require_account_room(self, pending: Pending) -> None:
        most = self._most_account_rows
        if self._account_rows[pending.payer.member] + pending.rows > most:
            raise Overloaded(
                f"expected at most {most} queries of one account at once, "
                "got more; retry after the delay"
            )

    def _make_room(self, pending: Pending) -> None:
        while self.rows + pending.rows > self._most_rows:
            payer = self._largest_beside(pending)
            if payer is None:
                raise self._full()
            newest = self._line.pop_newest_of(payer)
            self.release([newest])
            if not newest.answers.done():
                self._metrics.dropped["gave_way"].inc()
                newest.fail(self._full())

    def _largest_beside(self, pending: Pending) -> Payer | None:
        """The member whose newest request gives way to a request; None if that may take no room."""
        owner, member = pending.payer
        owners = self._line.waiting_owners()
        largest = max(owners, key=self._owner_rows.__getitem__, default=owner)
        if self._owner_rows[largest] > self._owner_rows[owner] + pending.rows:
            owner, most = largest, 0
        else:
            most = self._account_rows[member] + pending.rows
        payers = reversed(self._line.waiting_payers(owner))
        payer = max(payers, key=self._rows_of, default=None)
        return payer if payer is not None and self._rows_of(payer) > most else None

    def _full(self) -> Overloaded:
        return Overloaded(
            f"expected at most {self._most_rows} queries at once, got more; retry after the delay"
        )

    def _rows_of(self, payer: Payer) -> int:
        return self._account_rows[payer.member]

    def _hold(self, pending: Pending, rows: int) -> None:
        self.rows += rows
        owner, account = pending.payer
        for held, name in ((self._owner_rows, owner), (self._account_rows, account)):
            held[name] += rows
            if not held[name]:
                del held[name]

    def _is_over(self, pending: Pending, now: float) -> bool:
        if pending.answers.done():
            if pending.answers.cancelled():
                self._metrics.dropped["cancelled"].inc()
            return True
        if pending.expires <= now:
            self._metrics.dropped["expired"].inc()
            pending.fail(Overloaded("the deadline passed while the request waited"))
            return True
        return False


def _cost(pending: Pending, rows: int) -> int:
    return rows if pending.begun else rows + REQUEST_ROWS
