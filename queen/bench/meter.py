"""Measures how soon the off-distribution meter flags strange pools that known queries dilute.

A thief asks about a number of images like the training data once, and then repeats some of them
after each image of a pool from elsewhere, from one account or from all accounts of a group in turn.
The services' own engine gives the verdicts.
Shapes: N images, R rows of a stream, E embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from queen_sensitivity.engine.book import LedgerBook, Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.method.crossing import published
from queen.method.enforcement import Cause, Scope
from queen.redteam.runs.experiment import Experiment

STRANGE = ("mixup", "shift", "off-distribution")
"""The pools from elsewhere."""
KNOWN, REPEATS, MEMBERS = (1, 300), (0, 1, 5), (2, 10)
_IMAGES = 1500
_BATCH = 64


@dataclass(frozen=True)
class MeterRow:
    """The images of a pool that are answered before their accounts are off-distribution.

    After each image come `repeats` of `known` queries, in turn. The images are sent by `members` of
    a group in turn, or by one account without a group. `median` and `latest` are over the thieves,
    infinite for one whom 1,500 images did not flag.
    """

    pool: str
    known: int
    repeats: int
    members: int
    median: float
    latest: float


class Stream(NamedTuple):
    """How a thief asks, as in `MeterRow`."""

    known: int
    repeats: int
    members: int


class _Seen(NamedTuple):
    """Embeddings (N, E) and predicted labels (N,) of images."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]

    def select(self, rows: NDArray[np.integer]) -> _Seen:
        return _Seen(self.embeddings[rows], self.labels[rows])


def run_meter_bench(
    experiment: Experiment,
    *,
    budget: int,
    accounts: int = 20,
    on_row: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Rows of `MeterRow` as dictionaries, over so many thieves of each kind.

    `on_row` is called after each row.
    """
    bundle = experiment.bundle()
    limits = Limits.of_bundle(bundle, published(budget))
    own = _see(experiment, "in-distribution")
    rows = []
    for pool in STRANGE:
        strange = _see(experiment, pool)
        for stream in streams():
            counts = []
            for account in range(accounts):
                rng = np.random.default_rng([experiment.seed, account])
                drawn = strange.select(rng.permutation(len(strange.labels))[:_IMAGES])
                known = own.select(rng.permutation(len(own.labels))[: stream.known])
                book = open_book(limits, MemoryLedgerStore(), cached_accounts=1 + stream.members)
                counts.append(_answered(book, _diluted(drawn, known, stream.repeats), stream))
            rows.append(MeterRow(pool, *stream, float(np.median(counts)), float(max(counts))))
            on_row()
    return [asdict(row) for row in rows]


def streams() -> list[Stream]:
    """The streams: undiluted, diluted, and dealt out to the members of a group."""
    diluted = [Stream(known, repeats, 1) for known in KNOWN for repeats in REPEATS if repeats]
    grouped = [Stream(KNOWN[0], 0, members) for members in MEMBERS]
    return [Stream(KNOWN[0], 0, 1), *diluted, *grouped]


def count_rows() -> int:
    """The number of rows of the bench."""
    return len(STRANGE) * len(streams())


def _see(experiment: Experiment, pool: str) -> _Seen:
    images = experiment.pool(pool)[: 2 * _IMAGES]
    outputs = experiment.plain_protectee.run(images)
    return _Seen(outputs.embeddings, outputs.logits.argmax(axis=1))


def _diluted(strange: _Seen, known: _Seen, repeats: int) -> _Seen:
    """The known queries once, then each strange image with `repeats` of the known behind it."""
    count, own = len(strange.labels), len(known.labels)
    order = np.empty((count, 1 + repeats), np.int64)
    order[:, 0] = own + np.arange(count)
    order[:, 1:] = (np.arange(count * repeats) % own).reshape(count, repeats)
    both = _Seen(
        np.concatenate([known.embeddings, strange.embeddings]),
        np.concatenate([known.labels, strange.labels]),
    )
    return both.select(np.concatenate([np.arange(own), order.ravel()]))


def _answered(book: LedgerBook, queries: _Seen, stream: Stream) -> float:
    """Strange images answered before the thief is off-distribution; infinite if it never is."""
    group = "thieves" if stream.members > 1 else ""
    policies = [
        AccountPolicy(f"thief-{member}", scope=Scope.ACCOUNT, group=group)
        for member in range(stream.members)
    ]
    answered = 0
    for start in range(0, len(queries.labels), _BATCH):
        at = np.arange(start, min(start + _BATCH, len(queries.labels)))
        rows, index = queries.select(at), at % stream.members
        step = book.assess(Queries(policies, index, rows.labels, rows.embeddings))
        is_flagged = (step.causes & Cause.OFF_DISTRIBUTION) > 0
        answered += int((~is_flagged).sum())
        if is_flagged.all():
            return max(0.0, math.ceil((answered - stream.known) / (1 + stream.repeats)))
    return math.inf
