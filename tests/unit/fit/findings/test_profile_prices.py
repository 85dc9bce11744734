from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from queen.fit.findings import profile_prices
from queen.fit.findings.profile_prices import ProfilePrice, price_profiles
from queen.fit.fitted import Fitted, Shadows
from queen.fit.progress import ignore_progress
from queen.fit.training.shadows import ShadowPlan, train_shadows
from queen.method.answers.decoy import fit_sketch_space, sketch_inputs
from queen.method.contracts import BALANCED_L1, SAFE_L1, Profile
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered, regions_of

CLASSES = 5
Prices = dict[str, ProfilePrice]


def _fitted() -> Fitted:
    """A protectee that is right about its blobs, two thirds of which are inside their region."""
    features, labels = blobs(classes=CLASSES, per_class=120, width=12)
    fitted = answered(features, labels, shadows_on="features")
    regions = regions_of(features, labels, labels)
    fitted.regions = replace(regions, inside=np.arange(len(labels)) % 3 > 0)
    networks = train_shadows(features, labels, CLASSES, ShadowPlan("features", 2, 1, 5, 0))
    fitted.shadows = Shadows(networks, [12], {})
    fitted.sketch_space = fit_sketch_space(sketch_inputs(features), labels, CLASSES, 0.9)
    return fitted


@pytest.fixture(scope="module", autouse=True)
def _short_thefts() -> Iterator[None]:
    """Blobs are copied in fewer steps than a real model's classes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile_prices, "_THIEF_STEPS", 120)
        yield


def _priced(within_budget: int | None = 50) -> Prices:
    prices = price_profiles(_fitted(), within_budget, ignore_progress)
    return {price.profile: price for price in prices}


@pytest.fixture(scope="module", name="prices")
def priced_once(_short_thefts: None) -> Prices:
    """The prices of an account over its budget after 50 answers, for tests that only look."""
    return _priced()


def test_every_profile_has_a_price_in_order(prices: Prices) -> None:
    """As they are listed for the operator."""
    assert list(prices) == [profile.value for profile in Profile]


def test_observe_costs_nothing_and_buys_nothing(prices: Prices) -> None:
    """The thief's copy is as good as the model."""
    price = prices["observe"]
    assert (price.labels_changed, price.mean_l1, price.mean_l1_within) == (0.0, 0.0, 0.0)
    assert price.thief_accuracy > 0.9


def test_safe_changes_no_label_and_costs_at_most_its_distance(prices: Prices) -> None:
    """In every answer, so it costs as much within the budget as over it."""
    price = prices["safe"]
    assert price.labels_changed == 0.0
    assert 0.0 < price.mean_l1 <= SAFE_L1
    assert price.mean_l1_within == price.mean_l1


def test_strict_leaves_the_thief_a_worse_copy_than_observe(prices: Prices) -> None:
    """Over its budget an account learns the decoy; within it, nothing changes."""
    price = prices["strict"]
    assert price.thief_accuracy < prices["observe"].thief_accuracy - 0.1
    assert price.mean_l1_within == 0.0
    assert price.labels_changed > 0.6


def test_a_thief_without_an_answer_has_a_copy_by_chance() -> None:
    """A budget that the first query uses up has a price as well."""
    assert _priced(within_budget=0)["refuse"].thief_accuracy < 0.6


def test_refuse_changes_no_label_and_leaves_the_thief_the_first_answers(prices: Prices) -> None:
    """Over the budget every new query is refused, so that the copy is of those before."""
    price = prices["refuse"]
    assert (price.labels_changed, price.mean_l1, price.refused) == (0.0, 0.0, 1.0)
    fewest = _priced(within_budget=12)["refuse"]
    assert fewest.thief_accuracy < price.thief_accuracy
    assert {other.refused for name, other in prices.items() if name != "refuse"} == {0.0}


def test_balanced_lies_between(prices: Prices) -> None:
    """Nearer to the model than `strict` is, and within its distance."""
    price = prices["balanced"]
    assert 0.0 < price.mean_l1 <= BALANCED_L1
    assert price.mean_l1 < prices["strict"].mean_l1
    assert price.labels_changed > 0.6


def test_paper_reverses_only_queries_inside_regions(prices: Prices) -> None:
    """Two thirds of the queries, and nothing within the budget."""
    price = prices["paper"]
    assert 0.3 < price.labels_changed <= 0.7
    assert price.mean_l1_within == 0.0


def test_before_the_crossing_all_profiles_but_safe_are_observe() -> None:
    """If a whole pass stays within the budget, the thief has the model's own answers."""
    prices = _priced(within_budget=None)
    own = prices["observe"].thief_accuracy
    assert prices["strict"].thief_accuracy == prices["balanced"].thief_accuracy == own


def test_the_same_seed_gives_the_same_prices(prices: Prices) -> None:
    """To the last figure; progress is told after every profile."""
    told: list[tuple[int, int]] = []
    again = price_profiles(_fitted(), 50, lambda done, total: told.append((done, total)))
    assert {price.profile: price for price in again} == prices
    assert told == [(done, 6) for done in range(1, 7)]
