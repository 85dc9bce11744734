"""What a budget and the off-distribution meter do to honest accounts, counted over many.

Each simulated account sends the samples of `x` in an order of its own; the services' own
ledgers give the verdicts under the scope of `strict`. Shapes: N samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import Protectee
from queen_sensitivity.engine.book import AccountPolicy, LedgerBook, Queries
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.ledgers.thresholds import Thresholds

from queen.bundle import Bundle, open_bundle
from queen.errors import ConfigError
from queen.fit.findings.strays import honest_volume
from queen.method.ledger import Cause, Scope, Verdict

HISTORIES = (500, 1000, 2000, 5000, 10_000)
_BATCH = 512
_SIMULATED_TOGETHER = 50


@dataclass(frozen=True)
class HonestBench:
    """What `accounts` honest accounts met.

    `volume` is the published number of queries before any label may change;
    `reversed_before_volume` counts accounts with a REVERSE verdict before it,
    `flagged` those that the off-distribution meter flagged within so many queries;
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


def run_honest_bench(
    bundle_path: Path,
    train: Path,
    data: Path,
    *,
    budget: int,
    accounts: int = 1000,
    seed: int = 0,
    on_accounts: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """Send `accounts` orders of `data`'s x, which the protectee never saw; a HonestBench as a dict.

    `train` is the npz that the bundle was fitted with, from which the volume follows.
    """
    bundle = open_bundle(bundle_path)
    protectee = open_protectee(bundle)
    volume = _published_volume(bundle, protectee, train, budget, seed)
    embeddings, labels = see_samples(protectee, read_samples(data))
    rng = np.random.default_rng(seed)
    firsts, flags = [], []
    for start in range(0, accounts, _SIMULATED_TOGETHER):
        count = min(_SIMULATED_TOGETHER, accounts - start)
        orders = [rng.permutation(len(labels)) for _ in range(count)]
        for first, flagged in _send(bundle, budget, embeddings, labels, orders):
            firsts.append(first)
            flags.append(flagged)
        on_accounts(start + count, accounts)
    reversal, flagged_at = np.array(firsts, np.float64), np.array(flags, np.float64)
    shown = [history for history in HISTORIES if history <= len(labels)]
    return asdict(
        HonestBench(
            budget=budget,
            accounts=accounts,
            samples=len(labels),
            volume=volume,
            reversed_before_volume=int((reversal < volume).sum()),
            flagged={str(count): int((flagged_at < count).sum()) for count in [volume, *shown]},
            first_reversal=_quantiles(reversal),
            seed=seed,
            bundle_digest=bundle.digest,
        )
    )


def _send(
    bundle: Bundle,
    budget: int,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    orders: list[NDArray[np.int64]],
) -> list[tuple[float, float]]:
    """First reversed query and first flagged query of each account, infinite if there is none."""
    book = LedgerBook(
        bundle.geometry,
        Thresholds(bundle.geometry, bundle.mean_squared_sqs, budget),
        MemoryLedgerStore(),
        cached_accounts=len(orders),
        meter=bundle.meter,
    )
    found = []
    for number, order in enumerate(orders):
        policy = AccountPolicy(f"honest-{number}", 0, Scope.ACCOUNT)
        found.append(_walk(book, policy, embeddings[order], labels[order]))
    return found


def _walk(
    book: LedgerBook,
    policy: AccountPolicy,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> tuple[float, float]:
    reversed_at = flagged_at = np.inf
    for start in range(0, len(labels), _BATCH):
        rows = slice(start, start + _BATCH)
        index = np.zeros(len(labels[rows]), np.int64)
        step = book.assess(Queries([policy], index, labels[rows], embeddings[rows]))
        reversed_rows = np.flatnonzero(step.verdicts == Verdict.REVERSE)
        flagged_rows = np.flatnonzero(step.causes & Cause.OFF_DISTRIBUTION)
        if len(reversed_rows):
            reversed_at = min(reversed_at, start + int(reversed_rows[0]))
        if len(flagged_rows):
            flagged_at = min(flagged_at, start + int(flagged_rows[0]))
            break
    return reversed_at, flagged_at


def _published_volume(
    bundle: Bundle, protectee: Protectee, train: Path, budget: int, seed: int
) -> int:
    thresholds = Thresholds(bundle.geometry, bundle.mean_squared_sqs, budget)
    embeddings, labels = see_samples(protectee, read_samples(train))
    table = thresholds.table(0).tolist()
    volume = honest_volume(bundle.geometry, embeddings, labels, table, seed)
    return len(labels) if volume is None else volume


def _quantiles(firsts: NDArray[np.float64]) -> list[float | None]:
    found = np.quantile(firsts, [0.001, 0.5, 0.999], method="lower")
    return [float(value) if np.isfinite(value) else None for value in found]


def read_samples(path: Path) -> NDArray[Any]:
    """The samples x (N, ...) of an npz file; ConfigError if it holds none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            samples: NDArray[Any] = archive["x"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: expected an npz file with samples x (N, ...)") from error
    return samples


def see_samples(
    protectee: Protectee, samples: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings (N, E) and predicted labels (N,) of samples (N, ...)."""
    outputs = protectee.run(samples)
    return outputs.embeddings, outputs.logits.argmax(axis=1)


def open_protectee(bundle: Bundle) -> Protectee:
    """The protectee as the front door runs it, on one thread."""
    return Protectee(bundle, threads=1, max_batch_rows=256)
