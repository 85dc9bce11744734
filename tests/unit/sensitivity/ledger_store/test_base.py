"""Packed records, the refusals of an append, and the timed store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram
from queen_sensitivity.ledger_store import (
    Conflict,
    MemoryLedgerStore,
    Regressed,
    TimedStore,
    packed_end,
)
from queen_sensitivity.ledger_store.base import decide_append, join_records

from queen.errors import LedgerCorrupt
from tests.contract.ledger_stores import append_of, records_of


def test_packed_records_are_joined_bit_for_bit() -> None:
    """The array is float32 in the order of the bytes."""
    records = np.array([[1e-45, -0.0], [3.4e38, np.float32(0.1)]], np.float32)
    joined = join_records([record.astype("<f4").tobytes() for record in records])
    assert joined.dtype == np.float32
    assert joined.tobytes() == records.tobytes()


@pytest.mark.parametrize("blobs", [[b"1234", b"12345678"], [b"123"]])
def test_records_of_two_widths_are_damage(blobs: list[bytes]) -> None:
    """A list that cannot be an array is reported, not guessed at."""
    with pytest.raises(LedgerCorrupt, match="damaged"):
        join_records(blobs)


def test_the_packed_end_is_the_last_record() -> None:
    """An empty list has none."""
    assert packed_end(records_of(1.0, 2.0)) == records_of(2.0).tobytes()
    assert packed_end(records_of()) == b""


def test_an_append_at_the_end_of_its_list_is_not_refused() -> None:
    """Behind the very record that the caller expects, or behind any if it expects none."""
    assert decide_append(append_of("a", 0, 1.0), 0, None, b"") is None
    known = packed_end(records_of(1.0))
    append = replace(append_of("a", 1, 2.0), behind=known)
    assert decide_append(append, 1, records_of(), known) is None


def test_a_longer_list_is_a_conflict_and_a_shorter_or_another_one_a_regression() -> None:
    """A conflict gives the missing tail, a regression the length of the list."""
    tail = records_of(2.0, 3.0)
    conflict = decide_append(append_of("a", 1, 9.0), 3, tail, packed_end(records_of(1.0)))
    assert isinstance(conflict, Conflict)
    assert conflict.missing_tail is tail
    assert decide_append(append_of("a", 4, 9.0), 3, None, b"") == Regressed(3)
    behind = replace(append_of("a", 1, 9.0), behind=packed_end(records_of(7.0)))
    assert decide_append(behind, 3, tail, packed_end(records_of(1.0))) == Regressed(3)


def test_loads_and_appends_are_observed_and_nothing_else_is() -> None:
    """Each call is one observation, however many appends it has."""
    registry = CollectorRegistry()
    load, append = (Histogram(name, name, registry=registry) for name in ("load", "append"))
    store = TimedStore(MemoryLedgerStore(), load, append)
    store.append_many([append_of("a", 0, 1.0), append_of("b", 0, 1.0)])
    for _ in range(3):
        store.load("a", "g")
    store.generations(["a"], "g")
    store.list_accounts("g", "", 9)
    assert registry.get_sample_value("append_count") == 1
    assert registry.get_sample_value("load_count") == 3
