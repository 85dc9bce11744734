"""The walk over simulated accounts decides as the engine of the sensitivity service, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.engine.book import Limits
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import open_book
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.bundle import open_bundle
from queen.method.crossing import CAP_OFF, CrossingPolicy, policy_thresholds
from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Verdict
from queen.method.sensitivity import Charge
from queen.method.walk.ledger_walk import LedgerWalk
from queen.method.walk.sent_samples import SentSamples
from tests.bundles import SmallBundle, make_bundle

ACCOUNTS, QUERIES, BATCH = 5, 700, 64
POLICIES = (
    CrossingPolicy(5, 1, CAP_OFF),
    CrossingPolicy(5, 2, CAP_OFF),
    CrossingPolicy(20, 2, 2),
    CrossingPolicy(5, 2, 3),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with its samples."""
    return make_bundle(tmp_path_factory.mktemp("walk") / "bundle", samples=2400)


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("charge", Charge)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_walk_and_the_engine_agree(
    small: SmallBundle, policy: CrossingPolicy, charge: Charge, scope: Scope
) -> None:
    """Every account of a batch of many, budgets crossed and flags raised at the same query."""
    bundle = open_bundle(small.path)
    rng = np.random.default_rng(0)
    inputs = small.inputs[rng.permutation(len(small.inputs))[:400]]
    # Some samples lie far from the training data, so that the meter flags some accounts.
    inputs = np.concatenate([inputs, 4 * inputs])
    embeddings, labels = small.model.embeddings(inputs), small.model.logits(inputs).argmax(axis=1)
    embeddings = embeddings.astype(np.float32)
    orders = rng.integers(400, size=(ACCOUNTS, QUERIES))
    orders[0] = rng.integers(len(inputs), size=QUERIES)
    orders[1] = rng.choice(np.flatnonzero(labels[:400] == 1), QUERIES)

    walk = LedgerWalk(SentSamples(bundle.geometry, embeddings, labels, charge))
    numbers = policy_thresholds(bundle.geometry, bundle.mean_squared_sqs, policy)
    flagged = walk.flagged(orders, bundle.meter, numbers)
    enforced = walk.enforced(orders, numbers, scope, flagged)

    limits = Limits.of_bundle(bundle, policy, charge)
    book = open_book(limits, MemoryLedgerStore(), cached_accounts=ACCOUNTS)
    accounts = [AccountPolicy(f"honest-{index}", scope=scope) for index in range(ACCOUNTS)]
    verdicts, causes = np.empty((2, ACCOUNTS, QUERIES), np.uint8)
    for first in range(0, QUERIES, BATCH):
        part = orders[:, first : first + BATCH]
        # Accounts take turns, so that every batch is of all of them.
        rows, index = part.T.ravel(), np.tile(np.arange(ACCOUNTS), part.shape[1])
        step = book.assess(Queries(accounts, index, labels[rows], embeddings[rows]))
        for account in range(ACCOUNTS):
            own = index == account
            verdicts[account, first : first + BATCH] = step.verdicts[own]
            causes[account, first : first + BATCH] = step.causes[own]

    is_reversed = verdicts == Verdict.REVERSE
    assert np.array_equal(is_reversed, enforced.is_reversed)
    assert is_reversed.any()
    assert not is_reversed.all()
    assert (causes & Cause.ACCOUNT).any()
    if scope is Scope.ACCOUNT:
        is_off = np.arange(QUERIES) > flagged[:, None]
        assert np.array_equal((causes & Cause.OFF_DISTRIBUTION) > 0, is_off)
        assert is_off.any()
