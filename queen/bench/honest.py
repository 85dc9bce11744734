"""Counts how often a budget and the off-distribution meter harm honest accounts.

Each simulated account sends the same samples in an order of its own; the services' own
ledgers give the verdicts under the scope of `strict`. Shapes: N samples, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_sensitivity.engine.batch import AccountPolicy, Queries
from queen_sensitivity.engine.book import LedgerBook, Limits
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bench.samples import open_protectee, read_samples, see_samples
from queen.bundle import Bundle, open_bundle
from queen.fit.findings.honest_volume import honest_volume
from queen.method.crossing import Thresholds, published
from queen.method.ledger import Cause, Scope, Verdict

HISTORIES = (500, 1000, 2000, 5000, 10_000)
_BATCH = 512
_SIMULATED_TOGETHER = 50


@dataclass(frozen=True)
class HonestOptions:
    """`accounts` simulated accounts of a budget, each with its own order of the samples.

    `train` is the npz that the bundle was fitted with, from which the published volume follows;
    `data` is an npz with samples x that the protectee never saw.
    """

    bundle: Path
    train: Path
    data: Path
    budget: int
    accounts: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class HonestBench:
    """The results for `accounts` honest accounts.

    `volume` is the published number of queries before any label may change;
    `reversed_before_volume` counts accounts with a REVERSE verdict before it,
    `flagged` those that the off-distribution meter flagged within that many queries;
    `first_reversal` are the 0.1 %, 50 % and 99.9 % quantiles of the first reversed query.
    """

    budget: int
    accounts: int
    samples: int
    volume: int
    reversed_before_volume: int
    flagged: dict[str, int]
    first_reversal: list[float | None]
    seed: int
    bundle_digest: str


@dataclass(frozen=True, eq=False)
class _Stream:
    """Embeddings (N, E) and predicted labels (N,) of the samples of an account, in its order."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]

    def ordered(self, order: NDArray[np.int64]) -> _Stream:
        """The same samples in another order (N,)."""
        return _Stream(self.embeddings[order], self.labels[order])

    def batches(self) -> list[tuple[int, _Stream]]:
        """(position of the first row, rows) of the micro-batches."""
        return [
            (first, self.ordered(np.arange(first, min(first + _BATCH, len(self.labels)))))
            for first in range(0, len(self.labels), _BATCH)
        ]


def run_honest_bench(
    options: HonestOptions, on_accounts: Callable[[int], None] = lambda _done: None
) -> dict[str, Any]:
    """Send the samples once for each account; a HonestBench as a dictionary.

    `on_accounts` is called with the number of accounts that are done. Raises ConfigError for a
    file without samples and for a budget for which the regions have no room.
    """
    bundle = open_bundle(options.bundle)
    protectee = open_protectee(bundle)
    thresholds = Thresholds(bundle.geometry, bundle.mean_squared_sqs, published(options.budget))
    known = _Stream(*see_samples(protectee, read_samples(options.train)))
    volume = _published_volume(bundle, thresholds, known, options.seed)
    unseen = _Stream(*see_samples(protectee, read_samples(options.data)))
    rng = np.random.default_rng(options.seed)
    reversals, flags = [], []
    for start in range(0, options.accounts, _SIMULATED_TOGETHER):
        count = min(_SIMULATED_TOGETHER, options.accounts - start)
        orders = [rng.permutation(len(unseen.labels)) for _ in range(count)]
        streams = [unseen.ordered(order) for order in orders]
        for reversal, flag in _send(bundle, thresholds, streams):
            reversals.append(reversal)
            flags.append(flag)
        on_accounts(start + count)
    reversed_at, flagged_at = np.array(reversals, np.float64), np.array(flags, np.float64)
    shown = [history for history in HISTORIES if history <= len(unseen.labels)]
    return asdict(
        HonestBench(
            budget=options.budget,
            accounts=options.accounts,
            samples=len(unseen.labels),
            volume=volume,
            reversed_before_volume=int((reversed_at < volume).sum()),
            flagged={str(count): int((flagged_at < count).sum()) for count in [volume, *shown]},
            first_reversal=_quantiles(reversed_at),
            seed=options.seed,
            bundle_digest=bundle.digest,
        )
    )


def _send(
    bundle: Bundle, thresholds: Thresholds, streams: list[_Stream]
) -> list[tuple[float, float]]:
    """First reversed and first flagged query of each account, infinite if there is none."""
    limits = Limits(bundle.geometry, thresholds, bundle.meter)
    book = open_book(limits, MemoryLedgerStore(), cached_accounts=len(streams))
    return [
        _walk(book, AccountPolicy(f"honest-{index}", scope=Scope.ACCOUNT), stream)
        for index, stream in enumerate(streams)
    ]


def _walk(book: LedgerBook, policy: AccountPolicy, stream: _Stream) -> tuple[float, float]:
    reversed_at = flagged_at = np.inf
    for start, rows in stream.batches():
        index = np.zeros(len(rows.labels), np.int64)
        step = book.assess(Queries([policy], index, rows.labels, rows.embeddings))
        reversed_rows = np.flatnonzero(step.verdicts == Verdict.REVERSE)
        flagged_rows = np.flatnonzero(step.causes & Cause.OFF_DISTRIBUTION)
        if len(reversed_rows):
            reversed_at = min(reversed_at, start + int(reversed_rows[0]))
        if len(flagged_rows):
            flagged_at = min(flagged_at, start + int(flagged_rows[0]))
            break
    return reversed_at, flagged_at


def _published_volume(bundle: Bundle, thresholds: Thresholds, known: _Stream, seed: int) -> int:
    table = thresholds.of_policy().thresholds.tolist()
    volume = honest_volume(bundle.geometry, known.embeddings, known.labels, table, seed)
    return len(known.labels) if volume is None else volume


def _quantiles(firsts: NDArray[np.float64]) -> list[float | None]:
    values = np.quantile(firsts, [0.001, 0.5, 0.999], method="lower")
    return [float(value) if np.isfinite(value) else None for value in values]
