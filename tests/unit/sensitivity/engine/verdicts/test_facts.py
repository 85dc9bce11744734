"""The facts that an assessment states for its verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Scope
from queen.method.facts import Fact
from tests.unit.sensitivity.regions import batch_of, book_of, disc, meter_of, ring, small_geometry

GEOMETRY = small_geometry()
LABEL, OTHER = 2, 1


def test_facts_come_only_where_they_are_asked_for() -> None:
    """And asking changes no verdict."""
    points = disc(GEOMETRY, LABEL, 1, 60)
    batch = batch_of([AccountPolicy("a")], points, np.full(60, LABEL))
    plain = book_of(GEOMETRY, MemoryLedgerStore()).assess(batch)
    asked = book_of(GEOMETRY, MemoryLedgerStore()).assess(replace(batch, with_facts=True))
    assert plain.facts is None
    assert asked.facts is not None
    assert asked.verdicts.tobytes() == plain.verdicts.tobytes()
    assert asked.facts["cqs_before"].tobytes() == asked.cqs_before.tobytes()
    assert asked.facts["distances"].tobytes() == asked.distances.tobytes()


def test_facts_are_those_of_the_row_in_its_turn() -> None:
    """Novel, over and off-distribution as earlier rows of the same batch left them."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), budget=3, meter=meter_of(GEOMETRY))
    points = np.concatenate([ring(GEOMETRY, OTHER, 20), disc(GEOMETRY, LABEL, 1, 30)])
    policies = [AccountPolicy("a", scope=Scope.ACCOUNT, is_exempt=True)]
    labels = np.repeat([OTHER, LABEL], [20, 30])
    step = book.assess(replace(batch_of(policies, points, labels), with_facts=True))
    assert step.facts is not None
    bits = step.facts["bits"]
    threshold = float(book.limits.thresholds.of_policy().thresholds[LABEL])
    crossed = [*[False] * 20, *(step.cqs_before[20:] > threshold).tolist()]
    assert (bits & Fact.OVER > 0).tolist() == crossed
    is_off = (bits & Fact.OFF_DISTRIBUTION > 0).tolist()
    assert is_off == [False] * 8 + [True] * 42
    assert (bits & Fact.EXEMPT > 0).all()
    assert not (bits[:20] & Fact.NOVEL).any()
    assert (bits[20 : crossed.index(True)] & Fact.NOVEL).all()
    assert (step.facts["scopes"] == Scope.ACCOUNT).all()
    assert (step.facts["budgets"] == 3).all()
    assert (step.facts["breadths"] == 1).all()
    assert (step.facts["class_caps"] == CAP_OFF).all()


def test_rows_without_a_group_have_none_of_its_facts() -> None:
    """In one batch with rows that have one."""
    policies = [
        AccountPolicy("a"),
        AccountPolicy(
            "b", CrossingPolicy(5, 2), group="acme", group_crossing=CrossingPolicy(2, 1, 3)
        ),
    ]
    points, owners = disc(GEOMETRY, LABEL, 1, 40), np.arange(40) % 2
    batch = batch_of(policies, points, np.full(40, LABEL), owners)
    step = book_of(GEOMETRY, MemoryLedgerStore()).assess(replace(batch, with_facts=True))
    assert step.facts is not None
    alone, grouped = step.facts[owners == 0], step.facts[owners == 1]
    for name in ("group_cqs_before", "group_cqs_after", "group_budgets"):
        assert not alone[name].any()
    assert not (alone["bits"] >> 3).any()
    assert set(grouped["group_budgets"].tolist()) == {2}
    assert set(grouped["budgets"].tolist()) == {5}
    assert set(grouped["breadths"].tolist()) == {2}
    assert set(grouped["group_breadths"].tolist()) == {1}
    assert set(grouped["class_caps"].tolist()) == {CAP_OFF}
    assert set(grouped["group_class_caps"].tolist()) == {3}
    assert grouped["group_cqs_after"].max() > 0
    assert (grouped["bits"] & Fact.OVER << 3 > 0).any()


def test_a_generation_is_that_of_the_ledger_that_decided() -> None:
    """An erasure that is met amid a batch does not pass for the one before it."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    points, labels = disc(GEOMETRY, LABEL, 1, 9), np.full(9, LABEL)
    batch = replace(batch_of([AccountPolicy("a")], points, labels), with_facts=True)
    first = book.assess(batch)
    store.erase("a", [GEOMETRY.digest], 7)
    second = book.assess(replace(batch, embeddings=disc(GEOMETRY, LABEL, 2, 9)))
    assert first.facts is not None
    assert second.facts is not None
    assert set(first.facts["generations"].tolist()) == {0}
    assert set(second.facts["generations"].tolist()) == {7}
    assert second.facts["cqs_before"][0] == 0.0
