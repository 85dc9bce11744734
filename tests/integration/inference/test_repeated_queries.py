"""A query that is asked again: when its answer may differ, and when not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.method.contracts import Profile
from queen.redteam.targets.in_process import OperatorChoice, open_in_process
from queen.redteam.targets.protectee import open_protectee
from tests.bundles import SmallBundle, make_bundle

SECRET = hashlib.sha256(b"repeated queries").digest()
ACCOUNTS, QUERIES = 12, 60
TURNED = {Profile.BALANCED, Profile.STRICT}
"""Profiles under which every query past the crossing is flagged, a repeated one too."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A small bundle whose regions a few dozen queries can spend."""
    return make_bundle(Path(tmp_path_factory.mktemp("repeated")) / "bundle")


@pytest.mark.parametrize(
    "profile", [Profile.PAPER, Profile.SAFE, Profile.BALANCED, Profile.STRICT, Profile.OBSERVE]
)
def test_a_repeated_query_differs_only_across_its_accounts_crossing(
    small: SmallBundle, profile: Profile
) -> None:
    """Asked twice in a row, in requests of every size: one pair an account at most, by the verdict.

    The query that puts the account over its budget is answered as one within it, and its repeat,
    right behind it, as one past it. No other pair differs by a bit, whatever is asked beside it:
    neither the protectee's rounding nor the decoy's depends on the batch.
    """
    rng = np.random.default_rng(3)
    bundle = open_bundle(small.path)
    choice = OperatorChoice(profile, 2, SECRET)
    differing = []
    with open_in_process(bundle, choice, open_protectee(bundle)) as target:
        for index in range(ACCOUNTS):
            account = target.open_account(f"account {index}")
            # A request of one row puts the repeat into another micro-batch.
            size = (1, 2, 6, 40)[index % 4]
            rows = small.inputs[rng.integers(0, len(small.inputs), QUERIES)]
            asked = np.repeat(rows, 2, axis=0)
            answers, flagged = [], []
            for start in range(0, len(asked), size):
                answers.append(account.ask(asked[start : start + size]))
                flagged.append(target.traffic.exchanges[-1].is_reversed)
            first, again = np.concatenate(answers).reshape(QUERIES, 2, -1).transpose(1, 0, 2)
            is_flagged = np.concatenate(flagged).reshape(QUERIES, 2)
            assert is_flagged.any()
            pairs = np.flatnonzero((first != again).any(axis=1))
            differing.append(len(pairs))
            crossing = np.flatnonzero(is_flagged[:, 1] & ~is_flagged[:, 0])
            assert set(pairs) <= set(crossing)
            assert len(pairs) <= 1
    assert (sum(differing) > 0) is (profile in TURNED)
