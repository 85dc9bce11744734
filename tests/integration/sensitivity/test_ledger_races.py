"""Replicas that race on one account: no acknowledged record is lost, no point is charged twice.

QUEEN_RACE_APPENDS says how many records each race makes; 100000 is the full run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.ledger_store import open_redis_store
from scipy.spatial import cKDTree

from queen.method.sensitivity import record_weights
from tests.integration.sensitivity.ledger_writer import (
    ACCOUNT,
    CLASSES,
    PATIENT,
    race_geometry,
)
from tests.redis_servers import redis_server
from tests.service_process import clean_env
from tests.waiting import eventually

APPENDS = int(os.environ.get("QUEEN_RACE_APPENDS", "1000"))
GEOMETRY = race_geometry()


@dataclass(frozen=True)
class Race:
    """Acknowledged records (R, 2), (R,), (R, 2), and the records in the store, by class."""

    embeddings: np.ndarray
    labels: np.ndarray
    cqs: np.ndarray
    stored: dict[int, np.ndarray]
    counts: Counter[str]
    seconds: float


def race(folder: Path, kind: str, writers: int, appends: int) -> Race:
    """Run `writers` processes that make about `appends` records between them."""
    # Larger batches for a larger race, which else needs an hour.
    rows = max(4, appends // 3000)
    steps = -(-appends // (rows * (1 + writers)))
    outs = [folder / f"writer-{index}.npz" for index in range(writers)]
    # What the disk does is another test's; here it would only slow the race down.
    with redis_server(folder / "redis", "--appendfsync", "no") as server:
        sizes = [str(steps), str(rows)]
        module = [
            sys.executable,
            "-m",
            "tests.integration.sensitivity.ledger_writer",
            server.url,
            kind,
        ]
        processes = [
            subprocess.Popen([*module, str(index + 1), *sizes, str(out)], env=clean_env())
            for index, out in enumerate(outs)
        ]
        _start_together(processes, outs)
        assert [process.wait(timeout=170) for process in processes] == [0] * writers
        store = open_redis_store(server.url, PATIENT)
        stored = store.load(ACCOUNT, GEOMETRY.digest)
        store.close()
    return _gather(outs, stored)


def _start_together(processes: list[subprocess.Popen[bytes]], outs: list[Path]) -> None:
    def are_ready() -> bool:
        assert all(process.poll() is None for process in processes)
        return all(out.with_suffix(".ready").exists() for out in outs)

    eventually(are_ready, 60)
    for out in outs:
        out.with_suffix(".go").touch()


def _gather(outs: list[Path], stored: dict[int, np.ndarray]) -> Race:
    told = [dict(np.load(out)) for out in outs]
    embeddings, labels, cqs = (
        np.concatenate([writer[name] for writer in told])
        for name in ("embeddings", "labels", "cqs")
    )
    counts = Counter[str]()
    for writer in told:
        known = [name for name in ("appended", "conflict") if name in writer]
        counts.update({name: int(writer[name]) for name in known})
    seconds = max(float(writer["seconds"]) for writer in told)
    return Race(embeddings, labels, cqs, stored, counts, seconds)


def require_whole(outcome: Race) -> None:
    """The store has exactly the acknowledged records, once each."""
    for label in range(CLASSES):
        told = {record.tobytes() for record in outcome.embeddings[outcome.labels == label]}
        assert len(told) == np.count_nonzero(outcome.labels == label)
        kept = [record.tobytes() for record in outcome.stored[label]]
        assert len(kept) == len(set(kept))
        assert set(kept) == told


def require_apart(outcome: Race) -> None:
    """All records of a class are farther than r from each other."""
    for label, records in outcome.stored.items():
        wide = records.astype(np.float64)
        distances, _ = cKDTree(wide).query(wide, k=2)
        assert distances[:, 1].min() > GEOMETRY.coverage_radius[label] * (1 - 1e-12)


def require_reported_cqs(outcome: Race) -> None:
    """The cqs around each record, as it was reported, is that of the records stored before it."""
    for label, records in outcome.stored.items():
        weights = record_weights(GEOMETRY, records, np.full(len(records), label))
        sums = np.concatenate([[0.0], np.add.accumulate(weights)])
        positions = {record.tobytes(): position for position, record in enumerate(records)}
        mine = outcome.labels == label
        told = np.array([positions[record.tobytes()] for record in outcome.embeddings[mine]])
        assert np.allclose(outcome.cqs[mine, 0], sums[told], rtol=1e-9, atol=1e-15)
        assert np.allclose(outcome.cqs[mine, 1], sums[told + 1], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("writers", [2, 4, 8])
def test_a_race_on_one_account_keeps_the_ledger_whole(tmp_path: Path, writers: int) -> None:
    """Whoever wins, the ledger is one that a single writer could have made."""
    outcome = race(tmp_path, "plain", writers, APPENDS)
    sys.stdout.write(
        f"{writers} writers: {len(outcome.labels)} records in {outcome.seconds:.1f} s, "
        f"{dict(outcome.counts)}\n"
    )
    assert len(outcome.labels) > 0.8 * APPENDS
    assert outcome.counts["conflict"] > 0
    require_whole(outcome)
    require_apart(outcome)
    require_reported_cqs(outcome)


def test_without_the_compare_and_set_the_race_is_lost(tmp_path: Path) -> None:
    """The test can fail: writers that append blindly record the same points, and misreport cqs."""
    outcome = race(tmp_path, "broken", 4, 600)
    for requirement in (require_whole, require_apart, require_reported_cqs):
        with pytest.raises(AssertionError):
            requirement(outcome)
