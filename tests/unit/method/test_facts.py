"""Facts, and the verdicts that follow from them again."""

from __future__ import annotations

import numpy as np
import pytest

from queen.method.enforcement import Cause, Charges, Scope, Standing, enforce, spare
from queen.method.facts import FACTS, GROUP_SHIFT, POLICIES, Fact, gather_facts, reenact
from queen.method.ledger import LedgerLevels, LedgerRows, Owners, Verdict, assess_rows
from tests.unit.method.regions import discs

GEOMETRY = discs(2, 2, coverage_fraction=0.25)
SCOPES = [Scope.QUERY, Scope.CLASS, Scope.ACCOUNT]


def drawn(seed: int, rows: int) -> tuple[LedgerRows, np.ndarray, LedgerLevels, Charges, Standing]:
    """Queries of two accounts, the second in a group, with ledgers near their thresholds."""
    rng = np.random.default_rng(seed)
    account = rng.integers(0, 2, rows)
    labels = rng.integers(0, 2, rows)
    grouped = np.flatnonzero(account == 1)
    row = np.concatenate([np.arange(rows), grouped])
    owner = np.concatenate([account, np.full(len(grouped), 2)])
    points = GEOMETRY.cluster_centers[labels] + rng.normal(scale=0.7, size=(rows, 2))
    ledger_index = owner * 2 + labels[row]
    charged = LedgerRows(points.astype(np.float32)[row], labels[row], ledger_index)
    cqs, needed = rng.uniform(0.0, 1.2, 6), rng.integers(1, 3, 3)
    crossed = (cqs.reshape(3, 2) > 0.9).sum(axis=1)
    owners = Owners(np.arange(6) // 2, np.maximum(needed - crossed, 0), None)
    levels = LedgerLevels(cqs, np.full(6, 0.9), owners)
    nearest = np.where(rng.random(len(row)) < 0.5, np.inf, 0.0)
    scopes = np.array(SCOPES, np.uint8)[rng.integers(0, 3, 3)][account]
    standing = Standing(
        levels.thresholds[ledger_index],
        rng.random(len(row)) < 0.2,
    )
    return charged, nearest, levels, Charges(row, owner, scopes), standing


@pytest.mark.parametrize("seed", range(20))
def test_the_facts_of_a_batch_give_its_verdicts_again(seed: int) -> None:
    """Verdicts, causes and cqs, to the last bit, without an embedding."""
    rows, nearest, levels, charges, standing = drawn(seed, 40)
    step = assess_rows(GEOMETRY, rows, nearest, levels)
    is_exempt = charges.owner[:40] == seed % 2
    expected = spare(enforce(step, charges, standing), is_exempt)
    policies = np.zeros(len(charges.owner), POLICIES)
    policies["budgets"], policies["breadths"] = charges.owner + 5, charges.owner + 2
    facts = gather_facts(step, charges, standing, charges.owner + 1, policies, is_exempt)
    thresholds = np.full(40, 0.9)
    found, group_after = reenact(GEOMETRY, facts, rows.labels[:40], thresholds, thresholds)
    assert facts.dtype == FACTS
    for name in ("verdicts", "causes", "distances", "sqs", "cqs_before", "cqs_after"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    grouped = charges.row[40:]
    assert np.array_equal(group_after[grouped], step.cqs_after[40:])
    assert np.array_equal(facts["group_generations"][grouped], np.full(len(grouped), 3))
    assert (facts["group_budgets"] > 0).sum() == len(grouped)
    assert set(facts["group_breadths"][grouped].tolist()) <= {4}


def test_the_bits_say_what_held_before_the_row() -> None:
    """Those of the account in the lower places, those of its group above, and exempt."""
    charges = Charges(np.array([0, 0]), np.array([0, 1]), np.array([Scope.ACCOUNT], np.uint8))
    rows = LedgerRows(GEOMETRY.cluster_centers[[0, 0]], np.zeros(2, int), np.array([0, 1]))
    levels = LedgerLevels(np.array([0.0, 2.0]), np.ones(2))
    standing = Standing(np.ones(2), np.array([True, False]))
    step = assess_rows(GEOMETRY, rows, np.full(2, np.inf), levels)
    assert step.verdicts.tolist() == [Verdict.RECORD, Verdict.REVERSE]
    causes = enforce(step, charges, standing).causes.tolist()
    assert causes == [Cause.GROUP | Cause.OFF_DISTRIBUTION]
    facts = gather_facts(
        step, charges, standing, np.zeros(2, int), np.zeros(2, POLICIES), np.array([True])
    )
    own = Fact.NOVEL | Fact.OFF_DISTRIBUTION | Fact.EXEMPT
    of_group = (Fact.NOVEL | Fact.OVER) << GROUP_SHIFT
    assert facts["bits"].tolist() == [int(own) | int(of_group)]


@pytest.mark.parametrize("is_exempt", [False, True])
def test_a_record_that_a_refused_query_claims_does_not_follow(is_exempt: bool) -> None:
    """Of an owner that is over nothing is recorded, but for an account that is exempt."""
    facts = np.zeros(1, FACTS)
    facts["scopes"], facts["budgets"] = Scope.REPEATED, 5
    facts["bits"] = Fact.NOVEL | Fact.OVER | (Fact.EXEMPT if is_exempt else 0)
    limits = np.full(1, 0.9)
    found, _ = reenact(GEOMETRY, facts, np.zeros(1, int), limits, limits)
    assert (found.cqs_after[0] > 0) is np.bool_(is_exempt)
    assert (found.verdicts[0] == Verdict.REVERSE) is np.bool_(not is_exempt)
