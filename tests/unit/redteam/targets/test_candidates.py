"""Candidates: answers that were considered for the profiles, over the services' own ledgers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.method.contracts import Profile, check_answers, check_simplex
from queen.redteam.targets.candidates import CANDIDATES, CandidateTarget
from queen.redteam.targets.protectee import CachedProtectee
from tests.bundles import SmallBundle, make_bundle

BUDGET = 5


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with four classes."""
    return make_bundle(Path(tmp_path_factory.mktemp("candidates")) / "bundle", samples=800)


def _target(name: str, small: SmallBundle) -> CandidateTarget:
    bundle = open_bundle(small.path)
    return CandidateTarget(CANDIDATES[name], CachedProtectee(bundle), bundle, BUDGET)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_answers_on_the_simplex_and_reverses(name: str, small: SmallBundle) -> None:
    """Whatever is answered is a probability, and a spent budget does change answers."""
    target = _target(name, small)
    answers = target.open_account("a").ask(small.inputs)
    check_simplex(answers)
    flags = target.traffic.is_reversed
    assert flags is not None
    assert flags.any()
    own = target.traffic.own
    assert own is not None
    assert np.abs(answers - own)[flags].sum(axis=1).mean() > 0.1


@pytest.mark.parametrize("name", ["second-mass", "label-reversal"])
def test_candidates_that_keep_the_label_do(name: str, small: SmallBundle) -> None:
    """Both hold the contract of `safe` on the reversed rows."""
    target = _target(name, small)
    answers = target.open_account("a").ask(small.inputs)
    flags, own = target.traffic.is_reversed, target.traffic.own
    assert flags is not None
    assert own is not None
    check_answers(Profile.SAFE, answers[flags], own[flags])


@pytest.mark.parametrize("name", ["swap-account", "permutation"])
def test_swaps_are_always_wrong(name: str, small: SmallBundle) -> None:
    """No reversed answer has the protectee's label."""
    target = _target(name, small)
    answers = target.open_account("a").ask(small.inputs)
    flags, own = target.traffic.is_reversed, target.traffic.own
    assert flags is not None
    assert own is not None
    assert not (answers[flags].argmax(axis=1) == own[flags].argmax(axis=1)).any()


def test_an_accounts_scope_reaches_further_than_a_classs_and_that_than_a_querys(
    small: SmallBundle,
) -> None:
    """The same stream, the same ledgers: each scope contains the one before it."""
    flags = []
    for name in ("reversal-query", "reversal-class", "reversal-account"):
        target = _target(name, small)
        target.open_account("a").ask(small.inputs)
        flags.append(target.traffic.is_reversed)
    query, crossed, account = flags
    assert query is not None
    assert crossed is not None
    assert account is not None
    assert not (query & ~crossed).any()
    assert not (crossed & ~account).any()
    assert query.sum() < crossed.sum() < account.sum()


def test_accounts_have_ledgers_of_their_own(small: SmallBundle) -> None:
    """A fresh account is answered as the first one was at its start."""
    target = _target("decoy-account", small)
    first = target.open_account("a").ask(small.inputs)
    assert np.array_equal(target.open_account("b").ask(small.inputs), first)
