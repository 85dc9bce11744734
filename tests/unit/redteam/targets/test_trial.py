"""An answer of one's own, tried on the ledgers of the service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from queen_inference.protectee import Outputs

from queen.bundle import open_bundle
from queen.errors import ConfigError
from queen.method.contracts import check_simplex
from queen.method.crossing import CAP_OFF
from queen.method.enforcement import Scope
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers
from queen.redteam.targets.protectee import open_protectee
from queen.redteam.targets.traffic import Traffic
from queen.redteam.targets.trial import Trial, TrialTarget, open_trial
from tests.bundles import SmallBundle, make_bundle

BUDGET = 5


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with four classes."""
    return make_bundle(Path(tmp_path_factory.mktemp("trial")) / "bundle", samples=800)


def next_class(_inputs: Images, outputs: Outputs) -> Answers:
    """The protectee's numbers, each moved to the next class."""
    return np.roll(outputs.probabilities, 1, axis=1)


def run_trial(small: SmallBundle, scope: Scope, use: Callable[[TrialTarget], None]) -> Traffic:
    """The traffic of a target that `use` was given."""
    bundle = open_bundle(small.path)
    with open_trial(Trial(next_class, scope, BUDGET), bundle, open_protectee(bundle)) as target:
        use(target)
        return target.traffic


def test_reversed_queries_get_the_answer_that_was_handed_in(small: SmallBundle) -> None:
    """All answers are probabilities; the label changes where a query is reversed and only there."""
    traffic = run_trial(small, Scope.ACCOUNT, lambda t: t.open_account("a").ask(small.inputs))
    flags, own = traffic.is_reversed, traffic.own
    assert flags is not None
    assert own is not None
    assert 0 < flags.sum() < len(flags)
    check_simplex(traffic.answers)
    np.testing.assert_array_equal(traffic.answers[flags], np.roll(own[flags], 1, axis=1))
    moved = traffic.answers.argmax(axis=1) != own.argmax(axis=1)
    np.testing.assert_array_equal(moved, flags)


def test_an_accounts_scope_reaches_further_than_a_classs_and_that_than_a_querys(
    small: SmallBundle,
) -> None:
    """The same stream, the same ledgers: each scope contains the one before it."""
    flags = []
    for scope in (Scope.QUERY, Scope.CLASS, Scope.ACCOUNT):
        traffic = run_trial(small, scope, lambda t: t.open_account("a").ask(small.inputs))
        flags.append(traffic.is_reversed)
    query, crossed, account = flags
    assert query is not None
    assert crossed is not None
    assert account is not None
    assert not (query & ~crossed).any()
    assert not (crossed & ~account).any()
    assert query.sum() < crossed.sum() < account.sum()


def test_accounts_have_ledgers_of_their_own(small: SmallBundle) -> None:
    """A fresh account is answered as the first one was at its start."""

    def ask_twice(target: TrialTarget) -> None:
        first = target.open_account("a").ask(small.inputs)
        assert np.array_equal(target.open_account("b").ask(small.inputs), first)

    run_trial(small, Scope.ACCOUNT, ask_twice)


def test_no_queries_are_no_answers(small: SmallBundle) -> None:
    """An empty batch is not an error."""

    def ask_nothing(target: TrialTarget) -> None:
        assert target.open_account("a").ask(small.inputs[:0]).shape == (0, 4)

    run_trial(small, Scope.QUERY, ask_nothing)


def test_a_broad_policy_spares_who_asks_about_one_class(small: SmallBundle) -> None:
    """One class is crossed and its account is not over, unless the class reaches its cap."""
    bundle = open_bundle(small.path)
    protectee = open_protectee(bundle)
    labels = protectee.run(small.inputs).logits.argmax(axis=1)
    queries = small.inputs[labels == np.bincount(labels).argmax()]
    flagged = []
    for breadth, class_cap in ((1, CAP_OFF), (2, CAP_OFF), (2, 2)):
        trial = Trial(next_class, Scope.ACCOUNT, 3, breadth, class_cap)
        with open_trial(trial, bundle, protectee) as target:
            target.open_account("a").ask(queries)
            flags = target.traffic.is_reversed
        assert flags is not None
        flagged.append(int(flags.sum()))
    at_once, never, at_the_cap = flagged
    assert at_once > at_the_cap > never == 0


def test_a_budget_above_the_packing_limit_is_refused(small: SmallBundle) -> None:
    """The service's own check holds here too."""
    bundle = open_bundle(small.path)
    with (
        pytest.raises(ConfigError),
        open_trial(Trial(next_class, Scope.QUERY, 10**6), bundle, open_protectee(bundle)),
    ):
        pass
