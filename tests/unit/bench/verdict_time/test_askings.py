"""Requests whose verdicts an engine of our own has decided."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from queen.bench.verdict_time.askings import (
    COVERED,
    OUTSIDE,
    RECORDED,
    Oracle,
    first_askings,
    rows_of,
)
from queen.bundle import open_bundle
from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.method.ledger import Verdict
from tests.bundles import SmallBundle


@pytest.fixture(scope="module")
def oracle(small: SmallBundle) -> Oracle:
    """An engine over the samples of a small bundle, for accounts under `paper`."""
    return Oracle(open_bundle(small.path), small.inputs, Profile.PAPER)


def test_an_account_gets_over_by_its_name(oracle: Oracle) -> None:
    """An account that is over has flagged queries, one within its budget has none."""
    rows = np.flatnonzero(oracle.is_inside)[:200]
    for account in ("over-paper", "within-paper"):
        oracle.verdicts(account, rows)
    assert len(rows_of(oracle, "over-paper", Verdict.REVERSE, rows)) > 8
    assert len(rows_of(oracle, "within-paper", Verdict.PRESERVE, rows)) == len(rows)
    with pytest.raises(ConfigError, match="gets REVERSE, got none"):
        rows_of(oracle, "within-paper", Verdict.REVERSE, rows)


def test_first_askings_are_of_the_kinds_that_they_say(oracle: Oracle) -> None:
    """New queries in regions are recorded, and what is covered was asked before."""
    askings = first_askings(oracle, "new-paper-0", 12, np.random.default_rng(0))
    first, *others = askings
    assert first.kind == ""
    counts = Counter(asking.kind for asking in others)
    assert counts[COVERED] == 12
    assert 6 <= counts[RECORDED] <= 12
    assert counts[OUTSIDE] in {0, 12}
    asked: list[int] = []
    for asking in askings:
        assert (asking.kind == COVERED) is (asking.row in asked and asking.kind != OUTSIDE)
        assert oracle.is_inside[asking.row] == (asking.kind != OUTSIDE)
        asked.append(asking.row)
