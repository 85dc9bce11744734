"""A replica's engine as a process that asks as fast as it can, for the races on one account.

    python -m tests.integration.sensitivity.ledger_writer URL KIND SEED STEPS ROWS OUT

makes OUT.ready, begins at OUT.go, and writes the records that the engine reported to OUT.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from queen_sensitivity.engine.book import LedgerBook, Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    AppendResult,
    RedisLedgerStore,
    RedisOptions,
)
from queen_sensitivity.ledger_store.redis.store import open_redis_link

from queen.method.crossing import Thresholds, published
from queen.method.geometry import Geometry
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import counting

ACCOUNT = "hot"
CLASSES = 3
PATIENT = RedisOptions(timeout_seconds=10.0, connect_timeout_seconds=10.0)


class WithoutCompareAndSet(RedisLedgerStore):
    """The store as it must not be: it appends wherever the list ends by now."""

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Append at any version, and claim success."""
        return [self._push(append) for append in appends]

    def _push(self, append: Append) -> Appended:
        while True:
            records = self.load(append.key.account_id, append.key.geometry_digest)
            version = len(records.get(append.key.label, ()))
            (result,) = super().append_many([Append(append.key, version, append.records)])
            if isinstance(result, Appended):
                return result


def race_geometry() -> Geometry:
    """Three regions that have room for some hundred thousand records each."""
    centers = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    return Geometry(centers, np.array([1, 2, 3], np.float32), coverage_fraction=0.001)


def points(geometry: Geometry, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 2) inside their regions, and their labels (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    length = np.sqrt(rng.uniform(size=count)) * geometry.sensitive_radius[labels]
    offset = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None]
    return (geometry.cluster_centers[labels] + offset).astype(np.float32), labels


def main(url: str, kind: str, seed: int, steps: int, rows: int, out: Path) -> None:
    """Ask `steps` batches of the one account, and say what was recorded.

    `rows` of a batch are asked by every writer, so that only one may record each, and as
    many by this writer alone, so that it has to get in behind the others.
    """
    geometry, counts = race_geometry(), Counter[str]()
    link = open_redis_link(url, PATIENT)
    store = (WithoutCompareAndSet if kind == "broken" else RedisLedgerStore)(link)
    thresholds = Thresholds(geometry, np.full(CLASSES, 0.4), published(500_000))
    listeners = counting(counts)
    book = open_book(Limits(geometry, thresholds), store, cached_accounts=1, listeners=listeners)
    batches = [points(geometry, source, steps * rows) for source in (0, seed)]
    out.with_suffix(".ready").touch()
    while not out.with_suffix(".go").exists():
        time.sleep(0.005)
    begun = time.monotonic()
    told = [_ask(book, batches, slice(step * rows, (step + 1) * rows)) for step in range(steps)]
    seconds = time.monotonic() - begun
    embeddings, labels, cqs = (np.concatenate(part) for part in zip(*told, strict=True))
    store.close()
    np.savez(out, embeddings=embeddings, labels=labels, cqs=cqs, seconds=seconds, **dict(counts))


def _ask(
    book: LedgerBook, batches: Sequence[tuple[np.ndarray, np.ndarray]], rows: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Assess a batch; embeddings (R, 2), labels (R,) and cqs (R, 2) of the rows it recorded."""
    embeddings, labels = (
        np.concatenate([part[rows] for part in pair]) for pair in zip(*batches, strict=True)
    )
    index = np.zeros(len(labels), np.int64)
    answer = book.assess(Queries([AccountPolicy(ACCOUNT)], index, labels, embeddings))
    recorded = answer.verdicts == Verdict.RECORD
    around = np.stack([answer.cqs_before, answer.cqs_after], axis=1)
    return embeddings[recorded], labels[recorded], around[recorded]


if __name__ == "__main__":
    _, address, mode, *numbers, file = sys.argv
    main(address, mode, *map(int, numbers), Path(file))
