from __future__ import annotations

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queen.method.ledger import LedgerLevels, LedgerRows, Verdict, assess_rows
from queen.method.sensitivity import Charge, cumulative_query_sensitivity
from tests.unit.method.regions import bounded, discs, inside_region
from tests.unit.method.streams import (
    GEOMETRY,
    Outcome,
    Row,
    keys,
    rows,
    run,
    run_literally,
    splits,
    thresholds,
)

Stream = list[Row]


def _assert_same(got: Outcome, expected: Outcome) -> None:
    assert got.verdicts == expected.verdicts
    assert got.before == pytest.approx(expected.before, abs=1e-12)
    assert got.after == pytest.approx(expected.after, abs=1e-12)
    assert got.records.keys() == expected.records.keys()
    for key, records in expected.records.items():
        np.testing.assert_array_equal(got.records[key], records)


@given(rows, thresholds)
@bounded
def test_one_batch_is_the_definition_row_by_row(stream: Stream, threshold: float) -> None:
    """Verdicts, records and running cqs of one batch are those of the literal definition."""
    _assert_same(run([stream], threshold), run_literally(stream, threshold))


@given(rows, thresholds, st.lists(st.integers(1, 9), max_size=9))
@bounded
def test_how_a_stream_is_split_into_batches_changes_nothing(
    stream: Stream, threshold: float, sizes: list[int]
) -> None:
    """In one go, in any batches, or one by one with the oracle: the same in every number."""
    whole = run([stream], threshold)
    _assert_same(run(splits(stream, sizes), threshold), whole)
    _assert_same(run(splits(stream, [1] * len(stream)), threshold), whole)


@given(rows, thresholds)
@bounded
def test_records_are_pairwise_more_than_r_apart(stream: Stream, threshold: float) -> None:
    """No two records of one ledger lie within the coverage radius, ties included."""
    for records in run(splits(stream, [7, 1, 20]), threshold).records.values():
        for one, other in itertools.combinations(records.tolist(), 2):
            assert math.dist(one, other) > 0.25


@given(rows, thresholds)
@bounded
def test_cqs_after_is_the_sum_over_the_records(stream: Stream, threshold: float) -> None:
    """The running cqs of a ledger's last row is cqs of the records that it now holds."""
    outcome = run([stream], threshold)
    last = dict(zip(keys(stream), outcome.after, strict=True))
    for key, cqs in last.items():
        records = outcome.records.get(key, np.empty((0, 2)))
        assert cqs == pytest.approx(cumulative_query_sensitivity(GEOMETRY, records, key[1]))


@given(rows, thresholds)
@bounded
def test_cqs_is_handed_on_to_the_bit(stream: Stream, threshold: float) -> None:
    """A row finds what the last of its ledger left, and a ledger beside T is never over it."""
    outcome, left = run([stream], threshold), dict.fromkeys(keys(stream), 0.0)
    for key, before, after in zip(keys(stream), outcome.before, outcome.after, strict=True):
        assert before == left[key]
        left[key] = after


@given(rows, thresholds, st.randoms(use_true_random=False))
@bounded
def test_the_order_of_independent_ledgers_is_irrelevant(
    stream: Stream, threshold: float, random: Random
) -> None:
    """Rows of other accounts and classes may come in between in any order."""
    owners = keys(stream)
    # Any interleaving that keeps the order inside each ledger.
    waiting = {key: iter([i for i, own in enumerate(owners) if own == key]) for key in owners}
    turns = list(owners)
    random.shuffle(turns)
    order = [next(waiting[key]) for key in turns]
    plain, mixed = run([stream], threshold), run([[stream[i] for i in order]], threshold)
    assert [plain.verdicts[i] for i in order] == mixed.verdicts
    assert [plain.after[i] for i in order] == pytest.approx(mixed.after, abs=1e-12)


@given(rows, thresholds)
@bounded
def test_a_replay_changes_nothing(stream: Stream, threshold: float) -> None:
    """Sent again, no query is recorded again; a covered one is preserved, a reversed one stays."""
    first = run([stream], threshold)
    again = run([stream], threshold, first.records)
    assert Verdict.RECORD not in again.verdicts
    for then, now in zip(first.verdicts, again.verdicts, strict=True):
        assert (now == Verdict.REVERSE) == (then == Verdict.REVERSE)
    for key, records in first.records.items():
        np.testing.assert_array_equal(again.records[key], records)
    assert again.before == again.after


@given(rows, rows, thresholds)
@bounded
def test_a_stale_ledger_is_only_too_mild(early: Stream, late: Stream, threshold: float) -> None:
    """Verdicts on an older state never reverse what the newer state would not have reversed."""
    stale = run([early], threshold)
    fresh = run([late], threshold, stale.records)
    for row in early + late:
        old = run([[row]], threshold, stale.records).verdicts[0]
        new = run([[row]], threshold, fresh.records).verdicts[0]
        if old == Verdict.REVERSE:
            assert new == Verdict.REVERSE


def _verdict(point: tuple[float, float], nearest: float, cqs: float, threshold: float) -> int:
    assessment = assess_rows(
        GEOMETRY,
        LedgerRows(np.array([point], np.float32), np.array([0]), np.array([0])),
        np.array([nearest]),
        LedgerLevels(np.array([cqs]), np.array([threshold])),
    )
    return int(assessment.verdicts[0])


@pytest.mark.parametrize(
    ("point", "nearest", "cqs", "expected"),
    [
        ((0.0, 0.0), np.inf, 0.0, Verdict.RECORD),
        ((0.0, 0.0), np.inf, 0.5, Verdict.RECORD),
        ((0.0, 0.0), np.inf, 0.500001, Verdict.REVERSE),
        ((0.0, 0.0), 0.25, 0.9, Verdict.PRESERVE),
        ((0.0, 0.0), 0.2500001, 0.9, Verdict.REVERSE),
        ((1.0, 0.0), np.inf, 0.9, Verdict.PRESERVE),
        ((0.9999, 0.0), np.inf, 0.9, Verdict.REVERSE),
        ((5.0, 5.0), np.inf, 0.0, Verdict.PRESERVE),
    ],
)
def test_the_edges_of_the_definition(
    point: tuple[float, float], nearest: float, cqs: float, expected: Verdict
) -> None:
    """d < rs, farther than r, and cqs > T are strict, as they are defined."""
    assert _verdict(point, nearest, cqs, 0.5) == expected


def test_the_numbers_of_a_row_are_those_of_the_method() -> None:
    """Distances and sqs come back for every row, whatever its verdict."""
    outcome = assess_rows(
        GEOMETRY,
        LedgerRows(
            np.array([[0.6, 0.8], [10.0, 0.0]], np.float32), np.array([0, 1]), np.array([0, 1])
        ),
        np.full(2, np.inf),
        LedgerLevels(np.zeros(2), np.ones(2)),
    )
    np.testing.assert_allclose(outcome.distances, [1.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(outcome.sqs, [0.5, 0.5 * math.erfc(-1)], rtol=1e-6)
    assert outcome.verdicts.dtype == np.uint8


def test_many_records_in_one_batch_are_all_compared() -> None:
    """The 500th new record of a batch is held against all the others of that batch."""
    geometry = discs(1, 2, coverage_fraction=0.02)
    points = inside_region(np.random.default_rng(0), geometry, 0, 700)
    zeros = np.zeros(len(points), np.int64)
    outcome = assess_rows(
        geometry,
        LedgerRows(points, zeros, zeros),
        np.full(len(points), np.inf),
        LedgerLevels(np.zeros(1), np.ones(1)),
    )
    kept: list[list[float]] = []
    for point in points.tolist():
        if all(math.dist(point, record) > geometry.coverage_radius[0] for record in kept):
            kept.append(point)
    assert points[outcome.recorded].tolist() == kept
    assert 500 < len(kept) < 700


def test_an_empty_batch_has_an_empty_assessment() -> None:
    """No row in, no verdict out."""
    none = np.empty(0, np.int64)
    outcome = assess_rows(
        GEOMETRY,
        LedgerRows(np.empty((0, 2), np.float32), none, none),
        np.empty(0),
        LedgerLevels(np.empty(0), np.empty(0)),
    )
    assert outcome.verdicts.shape == outcome.cqs_after.shape == outcome.recorded.shape == (0,)


def test_a_charge_anywhere_records_what_lies_outside() -> None:
    """As inside: once, until a record covers it; but nothing that is out of reach."""
    geometry = discs(coverage_fraction=0.1)
    embeddings = np.array([[0, 0], [3, 0], [3.05, 0], [31.9, 0], [32.1, 0]], np.float32)
    labels = np.zeros(5, np.int64)
    rows = LedgerRows(embeddings, labels, labels)
    levels = LedgerLevels(np.zeros(1), np.full(1, np.inf))
    verdicts = [
        assess_rows(geometry, rows, np.full(5, np.inf), levels, charge).verdicts.tolist()
        for charge in Charge
    ]
    record, preserve = Verdict.RECORD, Verdict.PRESERVE
    assert verdicts[0] == [record, preserve, preserve, preserve, preserve]
    assert verdicts[1] == [record, record, preserve, record, preserve]
