"""The ledger step of a batch, on the memory."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerStep
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore

from queen.method.ledger import LedgerLevels, LedgerRows, Verdict, assess_rows
from queen.method.neighbors import nearest_distances
from tests.unit.sensitivity.engine.batches import room_over
from tests.unit.sensitivity.regions import batch_of, disc, small_geometry, stream

GEOMETRY = small_geometry()


@pytest.mark.parametrize("seed", range(5))
def test_it_decides_as_the_method_on_the_records_in_memory(seed: int) -> None:
    """Verdicts and cqs of each ledger, with the oracle in the place of the index."""
    store = MemoryLedgerStore()
    for label in (0, 1):
        key = LedgerKey("a", GEOMETRY.digest, label)
        store.append_many([Append(key, 0, disc(GEOMETRY, label, 9, 6))])
    room = room_over(GEOMETRY, store)
    embeddings, labels = stream(GEOMETRY, seed, 60)
    batch = room.open(batch_of([AccountPolicy("a")], embeddings, labels))
    step = LedgerStep(GEOMETRY, room.memory.index).decide(batch, np.arange(60))
    (account,) = batch.accounts
    nearest = [
        nearest_distances(account.records(label), point[None])[0]
        for point, label in zip(embeddings, labels.tolist(), strict=True)
    ]
    rows = LedgerRows(embeddings, labels, batch.ledger_index)
    levels = LedgerLevels(batch.snapshot.cqs, batch.thresholds)
    expected = assess_rows(GEOMETRY, rows, np.array(nearest), levels)
    for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after"):
        assert np.array_equal(getattr(step, name), getattr(expected, name))
    assert Verdict.RECORD in step.verdicts


def test_it_changes_nothing() -> None:
    """The same rows are decided alike again: what was decided is not in memory yet."""
    room = room_over(GEOMETRY, MemoryLedgerStore())
    batch = room.open(batch_of([AccountPolicy("a")], *stream(GEOMETRY, 1, 30)))
    step = LedgerStep(GEOMETRY, room.memory.index)
    first, again = step.decide(batch, np.arange(30)), step.decide(batch, np.arange(30))
    assert first.verdicts.tobytes() == again.verdicts.tobytes()
    assert room.memory.ledgers.total == 0


def test_some_rows_are_decided_by_themselves() -> None:
    """A row that lost a race is decided without those that did not."""
    room = room_over(GEOMETRY, MemoryLedgerStore())
    center = GEOMETRY.cluster_centers[[1, 1]]
    batch = room.open(batch_of([AccountPolicy("a")], center, np.array([1, 1])))
    step = LedgerStep(GEOMETRY, room.memory.index)
    assert step.decide(batch, np.arange(2)).verdicts.tolist() == [Verdict.RECORD, Verdict.PRESERVE]
    assert step.decide(batch, np.array([1])).verdicts.tolist() == [Verdict.RECORD]


def test_every_row_is_searched_for_whatever_side_of_a_region_it_is_on() -> None:
    """The time of a search would tell the side; rows outside stay PRESERVE, novel or not."""
    room = room_over(GEOMETRY, MemoryLedgerStore())
    searched: list[int] = []

    class Counted:
        """The index, which notes how many rows it is asked about."""

        def is_novel(self, numbers, embeddings, labels):  # type: ignore[no-untyped-def]
            """Note and ask."""
            searched.append(len(labels))
            return room.memory.index.is_novel(numbers, embeddings, labels)

    outside = GEOMETRY.cluster_centers[[0, 1]] + 2 * GEOMETRY.sensitive_radius[:2, None]
    points = np.concatenate([outside, GEOMETRY.cluster_centers[[0]]]).astype(np.float32)
    batch = room.open(batch_of([AccountPolicy("a")], points, np.array([0, 1, 0])))
    step = LedgerStep(GEOMETRY, Counted())  # type: ignore[arg-type]
    decided = step.decide(batch, np.arange(3))
    assert decided.verdicts.tolist() == [Verdict.PRESERVE, Verdict.PRESERVE, Verdict.RECORD]
    assert searched == [3]
