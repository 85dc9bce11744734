"""Replicas that get in each other's way decide as if they had come one after the other.

QUEEN_INTERLEAVINGS is the number of histories to try, and has a failure shortened, with
`-o timeout=0` for as long as it takes; without it the histories are few, and always the same.
"""

from __future__ import annotations

import os
import sys
from typing import ClassVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from queen_sensitivity.engine import book as ledgers

from tests.contract.interleavings.operations import (
    Assess,
    Erase,
    Fail,
    Forget,
    Operation,
    Regress,
    Restart,
)
from tests.contract.interleavings.replicas import CACHED, OWNERS, Replicas
from tests.contract.interleavings.watched_store import BlindStore, WatchedStore
from tests.unit.sensitivity.regions import CLASSES

HISTORIES = int(os.environ.get("QUEEN_INTERLEAVINGS", "0"))
SEEDS = st.integers(0, 2**32 - 1)
REPLICA = st.integers(0, len(CACHED) - 1)
OWNER = st.sampled_from(OWNERS)
LABELS = st.integers(0, CLASSES).map(lambda label: (label,)) | st.just(tuple(range(CLASSES + 1)))
LOSS = st.builds(Regress, OWNER, LABELS, st.integers(1, 4))
SMALL: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Fail, st.booleans()),
    st.builds(Forget, REPLICA, OWNER),
    st.builds(Restart, REPLICA),
    st.builds(Erase, OWNER),
    *[LOSS] * 6,
)


def assessments(inner: st.SearchStrategy[Operation]) -> st.SearchStrategy[Assess]:
    """Batches with others' operations between their calls of the store."""
    meanwhile = st.lists(st.tuples(st.integers(1, 8), inner), max_size=4).map(tuple)
    return st.builds(Assess, REPLICA, SEEDS, st.integers(1, 25), meanwhile)


PLAIN = st.builds(Assess, REPLICA, SEEDS, st.integers(1, 25))
NESTED = assessments(PLAIN | PLAIN | assessments(PLAIN | SMALL) | SMALL)


class Interleavings(RuleBasedStateMachine):
    """Batches on replicas, acts of operators, and faults of the store."""

    store: type[WatchedStore] = WatchedStore
    seen: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._replicas = Replicas(type(self).store())
        self._patch = patch.object(ledgers, "enforce", self._replicas.watching(ledgers.enforce))
        self._patch.start()

    @rule(operation=NESTED)
    def assess(self, operation: Assess) -> None:
        """A batch, and the operations that happen meanwhile."""
        self._replicas.run(operation)

    @rule(operation=SMALL)
    def happen(self, operation: Operation) -> None:
        """An operation between batches."""
        self._replicas.run(operation)

    @invariant()
    def lists_are_packings(self) -> None:
        """The records of a class stay farther than r apart."""
        self._replicas.check_lists()

    def teardown(self) -> None:
        """Stop watching, and add up the answers to appends."""
        self._patch.stop()
        for result, count in self._replicas.counts.items():
            type(self).seen[result] = type(self).seen.get(result, 0) + count


def run(store: type[WatchedStore], histories: int) -> dict[str, int]:
    """Try histories on a kind of store; returns how often its appends got each answer."""
    seen: dict[str, int] = {}
    machine = type("History", (Interleavings,), {"store": store, "seen": seen})
    machine.TestCase.settings = settings(
        max_examples=histories,
        stateful_step_count=12,
        deadline=None,
        derandomize=not HISTORIES,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if HISTORIES else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    machine.TestCase().runTest()
    return seen


def test_every_interleaving_is_some_serial_order() -> None:
    """Verdicts, records and cqs are the step's on a state of each ledger; lost records come back.

    The histories must have lost races, generations and records, or they would prove little.
    """
    seen = run(WatchedStore, HISTORIES or 60)
    sys.stdout.write(f"{seen}\n")
    # Their number is chance: the histories of Hypothesis depend on the modules that are loaded.
    assert {"appended", "conflict", "regressed", "renewed"} <= seen.keys()


def test_without_the_compare_and_set_some_interleaving_is_no_serial_order() -> None:
    """The machine can fail: a store that appends blindly is found out."""
    with pytest.raises(AssertionError):
        run(BlindStore, 60)
