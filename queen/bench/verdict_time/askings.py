"""Requests whose verdicts are known before they are sent: an engine of our own decides them first.

Shapes: R queries, each a row of the samples.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from queen_sensitivity.engine.book import Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.samples import open_protectee, see_samples
from queen.bundle import Bundle
from queen.defaults import BREADTH, BUDGET, CHARGE, CLASS_CAP
from queen.errors import ConfigError
from queen.method.contracts import SCOPES, Profile
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.ledger import Verdict
from queen.method.sensitivity import center_distances, largest_budget, sensitive_rows

REVERSED, PRESERVED = "reversed", "preserved"
RECORDED, COVERED, OUTSIDE = "recorded", "covered", "outside"
"""Queries of an account within its budget: new in a region, asked again, outside of all regions."""
OVER = CrossingPolicy(5, 1, CAP_OFF)
"""The policy of the accounts that get over their budgets."""
_CACHED_ACCOUNTS = 256

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Asking:
    """A request of one query: the account that sends it, the row, and the kind that it is of."""

    account: str
    row: int
    kind: str


class Oracle:
    """Verdicts on samples under a profile, by an engine whose ledgers follow a deployment's.

    What it is asked is sent to the deployment, too, in the same order; a query that would change
    nothing need not be.
    """

    def __init__(self, bundle: Bundle, samples: NDArray[np.float32], profile: Profile) -> None:
        self._embeddings, self._labels = see_samples(open_protectee(bundle), samples)
        default = CrossingPolicy(BUDGET, BREADTH, CLASS_CAP)
        limits = Limits.of_bundle(bundle, default, CHARGE)
        self._book = open_book(limits, MemoryLedgerStore(), cached_accounts=_CACHED_ACCOUNTS)
        self._scope = SCOPES[profile]
        geometry = bundle.geometry
        distances = center_distances(geometry, self._embeddings, self._labels)
        self.is_inside = sensitive_rows(geometry, distances, self._labels, CHARGE)
        """Whether each sample lies in a region, (N,)."""
        self.within = CrossingPolicy(largest_budget(geometry, bundle.mean_squared_sqs), 1, CAP_OFF)
        """The policy of the accounts that stay within their budgets."""
        self.given: Counter[Verdict] = Counter()
        """Verdicts so far."""

    def verdicts(self, account: str, rows: Rows) -> NDArray[np.uint8]:
        """Verdicts (R,) on samples at `rows` (R,), asked together by an account."""
        policy = AccountPolicy(account, OVER if is_over(account) else self.within, self._scope)
        index, points = np.zeros(len(rows), np.int64), self._embeddings[rows]
        verdicts = self._book.assess(Queries([policy], index, self._labels[rows], points)).verdicts
        self.given.update(Verdict(code) for code in verdicts.tolist())
        return verdicts


def is_over(account: str) -> bool:
    """Whether an account, by its name, gets over its budget."""
    return account.startswith("over-")


def rows_of(oracle: Oracle, account: str, wanted: Verdict, rows: Rows) -> Rows:
    """The rows (R,) that get a verdict now, asked one by one; ConfigError without any."""
    verdicts = [int(oracle.verdicts(account, rows[at : at + 1])[0]) for at in range(len(rows))]
    matching: Rows = rows[np.array(verdicts) == wanted]
    if not len(matching):
        raise ConfigError(
            f"expected samples on which an account gets {wanted.name}, got none; give more samples"
        )
    return matching


def first_askings(
    oracle: Oracle, account: str, count: int, rng: np.random.Generator
) -> list[Asking]:
    """Up to `count` queries of each kind of a new account within its budget, mixed.

    The first has no kind: the first request of an account costs more than later ones.
    """
    inside = iter(rng.permutation(np.flatnonzero(oracle.is_inside)).tolist())
    outside = rng.permutation(np.flatnonzero(~oracle.is_inside)).tolist()
    known: list[int] = []

    def is_answered(row: int, verdict: Verdict) -> bool:
        return bool(oracle.verdicts(account, np.array([row]))[0] == verdict)

    def row_of(kind: str) -> int | None:
        if kind == COVERED:
            return int(rng.choice(known))
        if kind == OUTSIDE:
            row = int(rng.choice(outside)) if outside else None
            return row if row is not None and is_answered(row, Verdict.PRESERVE) else None
        # A query that is covered changes nothing: it is not sent.
        row = next((row for row in inside if is_answered(row, Verdict.RECORD)), None)
        known.extend([] if row is None else [row])
        return row

    kinds = [RECORDED, *rng.permutation([RECORDED, COVERED, OUTSIDE] * count).tolist()]
    rows = [(kind, row_of(kind)) for kind in kinds]
    askings = [Asking(account, row, kind) for kind, row in rows if row is not None]
    return [Asking(account, askings[0].row, ""), *askings[1:]]
