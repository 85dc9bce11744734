from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queen.method.enforcement import Cause, Charges, Scope, Standing, enforce
from queen.method.ledger import Assessment, Verdict
from tests.unit.method.charged_streams import (
    ACCOUNTS,
    GROUPS,
    PLAIN,
    Book,
    Rules,
    enforce_batches,
    enforce_literally,
    rows,
    rules,
)
from tests.unit.method.regions import bounded
from tests.unit.method.streams import Row, splits

Stream = list[Row]


@given(rows, rules)
@bounded
def test_one_batch_is_the_definition_query_by_query(stream: Stream, by: Rules) -> None:
    """Verdicts, causes and records of accounts and groups under every mix of scopes."""
    assert enforce_batches(by, [stream]) == enforce_literally(by, stream)


@given(rows, rules, st.lists(st.integers(1, 9), max_size=9))
@settings(bounded, max_examples=25)
def test_how_a_stream_is_split_into_batches_changes_nothing(
    stream: Stream, by: Rules, sizes: list[int]
) -> None:
    """In one go, in any batches, or one by one."""
    whole = enforce_batches(by, [stream])
    assert enforce_batches(by, splits(stream, sizes)) == whole
    assert enforce_batches(by, splits(stream, [1] * len(stream))) == whole


@given(rows, st.sampled_from([0.0, 0.0321, 0.1234, 9.9]))
@bounded
def test_without_groups_the_scope_of_queries_is_the_papers(stream: Stream, level: float) -> None:
    """Every number of the step comes back as it was, and the account is the only cause."""
    step, found = Book(replace(PLAIN, thresholds=(level,) * 5)).charge(stream)
    for name in ("verdicts", "distances", "sqs", "cqs_before", "cqs_after"):
        np.testing.assert_array_equal(getattr(found, name), getattr(step, name))
    reversed_rows = step.verdicts == Verdict.REVERSE
    np.testing.assert_array_equal(found.causes, np.where(reversed_rows, Cause.ACCOUNT, 0))
    assert found.verdicts.dtype == found.causes.dtype == np.uint8


ALL = ACCOUNTS + GROUPS


@given(rows, rules, st.sampled_from([1.0, 2.0, math.inf]), st.integers(1, 2))
@bounded
def test_breadth_1_and_cap_1_are_the_method_as_published(
    stream: Stream, by: Rules, cap: float, needed: int
) -> None:
    """Breadth 1 with any cap, and a cap of 1 budget with any breadth: no byte is another."""
    published = Book(replace(by, needed=(1,) * ALL, caps=(math.inf,) * ALL)).charge(stream)
    for needed_classes, class_cap in ((1, cap), (needed, 1.0)):
        policy = replace(by, needed=(needed_classes,) * ALL, caps=(class_cap,) * ALL)
        for step, expected in zip(Book(policy).charge(stream), published, strict=True):
            for name in ("verdicts", "sqs", "cqs_before", "cqs_after", "is_over", "causes"):
                assert getattr(step, name).tobytes() == getattr(expected, name).tobytes()


@given(rows, rules)
@bounded
def test_until_an_owner_is_over_no_query_of_it_is_reversed_by_its_budget(
    stream: Stream, by: Rules
) -> None:
    """And a broader policy never reverses what a narrower one would not."""
    broad = replace(by, needed=(2,) * ALL, caps=(math.inf,) * ALL)
    narrow = enforce_batches(replace(broad, needed=(1,) * ALL), [stream])
    step, found = Book(broad).charge(stream)
    is_own = slice(0, len(stream))
    by_own_budget = (found.causes & Cause.ACCOUNT) > 0
    assert not (by_own_budget & ~step.is_over[is_own]).any()
    reversed_rows = np.array(narrow.verdicts) == Verdict.REVERSE
    # Under the broader policy more is recorded, so that later queries may be covered.
    assert not ((found.verdicts == Verdict.REVERSE) & ~reversed_rows).any()


@given(rows, rules)
@bounded
def test_a_wider_scope_keeps_the_records_and_is_never_milder(stream: Stream, by: Rules) -> None:
    """An account whose profile changes has the ledger that it would always have had."""
    outcomes = [
        enforce_batches(replace(by, scopes=(scope,) * ACCOUNTS), [stream])
        for scope in (Scope.QUERY, Scope.CLASS, Scope.ACCOUNT)
    ]
    for milder, wider in pairwise(outcomes):
        assert milder.records == wider.records
        pairs = zip(milder.verdicts, wider.verdicts, strict=True)
        assert all(now == Verdict.REVERSE for then, now in pairs if then == Verdict.REVERSE)


@given(rows, rules)
@bounded
def test_a_group_can_only_make_a_verdict_harsher(stream: Stream, by: Rules) -> None:
    """The account's own ledger and its verdicts are those it has without the group."""
    alone = enforce_batches(replace(by, groups=(-1,) * ACCOUNTS), [stream])
    grouped = enforce_batches(by, [stream])
    assert all(now >= then for then, now in zip(alone.verdicts, grouped.verdicts, strict=True))
    for key, records in alone.records.items():
        assert grouped.records[key] == records


@given(rows, rules)
@bounded
def test_only_reversed_queries_have_a_cause(stream: Stream, by: Rules) -> None:
    """And all of them have one."""
    outcome = enforce_batches(by, [stream])
    for verdict, cause in zip(outcome.verdicts, outcome.causes, strict=True):
        assert (cause > 0) == (verdict == Verdict.REVERSE)
        assert cause in range(8)


def _step(
    verdicts: list[Verdict], before: list[float], is_over: list[bool] | None = None
) -> Assessment:
    zeros = np.zeros(len(verdicts))
    over = zeros > 0 if is_over is None else np.array(is_over)
    levels = np.array(before)
    return Assessment(np.array(verdicts, np.uint8), zeros, zeros, levels, levels, over)


P, R, X = Verdict.PRESERVE, Verdict.RECORD, Verdict.REVERSE


@pytest.mark.parametrize(
    ("own", "of_group", "expected", "cause"),
    [
        (P, P, P, Cause.NONE),
        (P, R, R, Cause.NONE),
        (R, P, R, Cause.NONE),
        (R, R, R, Cause.NONE),
        (X, P, X, Cause.ACCOUNT),
        (X, R, X, Cause.ACCOUNT),
        (P, X, X, Cause.GROUP),
        (R, X, X, Cause.GROUP),
        (X, X, X, Cause.ACCOUNT | Cause.GROUP),
    ],
)
def test_the_harsher_of_two_verdicts_wins(
    own: Verdict, of_group: Verdict, expected: Verdict, cause: Cause
) -> None:
    """A query is reversed if either of those it is charged to has spent its budget."""
    charges = Charges(np.array([0, 0]), np.array([0, 1]), np.array([Scope.QUERY], np.uint8))
    none = np.zeros(2, np.bool_)
    step = _step([own, of_group], [0.0, 0.0])
    found = enforce(step, charges, Standing(np.ones(2), none))
    assert (found.verdicts.tolist(), found.causes.tolist()) == ([expected], [cause])


@pytest.mark.parametrize(
    ("scope", "own_class", "over", "off", "cause"),
    [
        (Scope.QUERY, True, True, True, Cause.NONE),
        (Scope.CLASS, True, True, False, Cause.ACCOUNT),
        (Scope.CLASS, True, False, False, Cause.NONE),
        (Scope.CLASS, False, True, True, Cause.NONE),
        (Scope.ACCOUNT, False, True, False, Cause.ACCOUNT),
        (Scope.ACCOUNT, False, False, True, Cause.OFF_DISTRIBUTION),
        (Scope.ACCOUNT, True, True, True, Cause.ACCOUNT | Cause.OFF_DISTRIBUTION),
        (Scope.ACCOUNT, True, False, False, Cause.NONE),
        (Scope.ACCOUNT, False, False, False, Cause.NONE),
    ],
)
def test_a_scope_widens_what_a_spent_budget_reverses(
    scope: Scope, own_class: bool, over: bool, off: bool, cause: Cause
) -> None:
    """A query that the paper preserves, by its scope and what is known of its account."""
    charges = Charges(np.array([0]), np.array([0]), np.array([scope], np.uint8))
    cqs = 2.0 if own_class else 0.5
    found = enforce(
        _step([P], [cqs], [over]),
        charges,
        Standing(np.ones(1), np.array([off])),
    )
    assert found.causes.tolist() == [cause]
    assert found.verdicts.tolist() == [X if cause else P]


def test_the_query_that_crosses_is_still_recorded() -> None:
    """The next one of its account is reversed, whatever its class; another account's is not."""
    step = _step([R, P, P, P], [0.9, 0.9, 0.0, 0.0], [False, False, True, False])
    charges = Charges(np.arange(4), np.array([0, 1, 0, 1]), np.full(4, Scope.ACCOUNT, np.uint8))
    none = np.zeros(4, np.bool_)
    found = enforce(step, charges, Standing(np.ones(4), none))
    assert found.verdicts.tolist() == [R, P, X, P]
    assert found.causes.tolist() == [0, 0, Cause.ACCOUNT, 0]


def test_an_account_has_its_own_numbers_whatever_its_group_has() -> None:
    """Distances, sqs and cqs of a query are those against its account."""
    step = Assessment(
        *(np.array([P, R], np.uint8), np.array([0.1, 0.1]), np.array([0.7, 0.7])),
        *(np.array([0.2, 0.3]), np.array([0.2, 0.4]), np.zeros(2, np.bool_)),
    )
    charges = Charges(np.array([0, 0]), np.array([0, 1]), np.array([Scope.QUERY], np.uint8))
    none = np.zeros(2, np.bool_)
    found = enforce(step, charges, Standing(np.ones(2), none))
    assert (found.cqs_before.tolist(), found.cqs_after.tolist()) == ([0.2], [0.2])
    assert found.verdicts.tolist() == [R]


def test_an_empty_batch_is_enforced_into_an_empty_assessment() -> None:
    """No row in, no verdict out."""
    none = np.empty(0, np.int64)
    charges = Charges(none, none, none.astype(np.uint8))
    off = np.empty(0, np.bool_)
    found = enforce(_step([], []), charges, Standing(np.empty(0), off))
    assert found.verdicts.shape == found.causes.shape == (0,)


@pytest.mark.parametrize(
    ("step", "is_repeated", "expected", "causes"),
    [
        # Own row and group row of a query: verdict, whether its owner is over.
        ([(P, True), (P, False)], False, X, Cause.ACCOUNT),
        ([(P, False), (P, True)], False, X, Cause.GROUP),
        ([(R, True), (X, True)], False, X, Cause.ACCOUNT | Cause.GROUP),
        ([(P, True), (P, True)], True, P, Cause.NONE),
        ([(P, False), (X, True)], True, P, Cause.NONE),
        ([(P, True), (R, False)], True, R, Cause.NONE),
        ([(R, False), (R, False)], False, R, Cause.NONE),
    ],
)
def test_under_repeated_a_record_of_the_account_decides_once_an_owner_is_over(
    step: list[tuple[Verdict, bool]], is_repeated: bool, expected: Verdict, causes: Cause
) -> None:
    """A repeated query is answered, new as it may be to its group; any other is reversed."""
    verdicts, over = (list(values) for values in zip(*step, strict=True))
    charges = Charges(np.array([0, 0]), np.array([0, 1]), np.array([Scope.REPEATED], np.uint8))
    standing = Standing(np.full(2, 9.0), np.zeros(2, bool), np.array([is_repeated]))
    found = enforce(_step(verdicts, [0.0, 0.0], over), charges, standing)
    assert found.verdicts.tolist() == [expected]
    assert found.causes.tolist() == [causes]


@pytest.mark.parametrize("is_repeated", [True, False])
def test_under_repeated_the_meter_reverses_what_is_repeated_too(is_repeated: bool) -> None:
    """Strange images lie near one another and near honest ones, and each label would be news."""
    charges = Charges(np.array([0]), np.array([0]), np.array([Scope.REPEATED], np.uint8))
    standing = Standing(np.full(1, 9.0), np.ones(1, bool), np.array([is_repeated]))
    found = enforce(_step([P], [0.0]), charges, standing)
    assert found.verdicts.tolist() == [X]
    assert found.causes.tolist() == [Cause.OFF_DISTRIBUTION]
