from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queen.method.geometry import Geometry
from queen.method.links.link_search import LinkIndex, LinkSearch, SearchLimits, find_links
from queen.method.links.linkage import (
    LEAST_SHARED,
    Ledgers,
    Overlap,
    overlap,
    surprise,
)

CLASSES = 3


def geometry_of(width: int, fraction: float) -> Geometry:
    """Regions of radius 1 that do not overlap."""
    centers = 9.0 * np.arange(CLASSES)[:, None] * np.ones(width)
    return Geometry(
        centers.astype(np.float32), np.ones(CLASSES, np.float32), coverage_fraction=fraction
    )


def population_of(
    geometry: Geometry, seed: int, accounts: int, shared: int, sharers: int
) -> list[Ledgers]:
    """Accounts of 0 to 60 records a class; `sharers` of them have `shared` records in common."""
    rng = np.random.default_rng(seed)
    width = geometry.embedding_width
    common = 0.4 * rng.normal(size=(CLASSES, shared, width))
    population: list[Ledgers] = []
    for account in range(accounts):
        ledgers = {}
        for label, center in enumerate(geometry.cluster_centers):
            own = 0.4 * rng.normal(size=(rng.integers(0, 60), width))
            if account < sharers:
                noise = geometry.coverage_fraction * rng.normal(size=common[label].shape)
                own = np.concatenate([own, common[label] + 0.3 * noise])
            if len(own):
                ledgers[label] = (center + own).astype(np.float32)
        population.append(ledgers)
    return population


def size(ledgers: Ledgers) -> int:
    """Records over all classes."""
    return sum(map(len, ledgers.values()))


def all_overlaps(geometry: Geometry, population: list[Ledgers]) -> dict[tuple[int, int], Overlap]:
    """The overlap of every pair of accounts, against all others' records."""
    overlaps = {}
    for pair in combinations(range(len(population)), 2):
        fewer, more = sorted(pair, key=lambda account: (size(population[account]), account))
        crowd: dict[int, np.ndarray] = {}
        for account, ledgers in enumerate(population):
            for label, records in ledgers.items() if account not in pair else ():
                crowd[label] = np.concatenate([crowd.get(label, records[:0]), records])
        overlaps[fewer, more] = overlap(geometry, population[fewer], population[more], crowd)
    return overlaps


def by_all_pairs(geometry: Geometry, population: list[Ledgers]) -> dict[tuple[int, int], Overlap]:
    """Every likely link, found by comparing all pairs."""
    overlaps = all_overlaps(geometry, population)
    return {pair: scored for pair, scored in overlaps.items() if scored.is_likely(len(overlaps))}


@pytest.mark.parametrize(("fraction", "accounts"), [(0.02, 20), (0.1, 8), (0.3, 8)])
def test_no_pair_is_more_surprising_than_its_bound(fraction: float, accounts: int) -> None:
    """The bound that makes a pair a candidate is never below the surprise of its overlap."""
    geometry = geometry_of(2, fraction)
    population = population_of(geometry, 3, accounts, 10, 3)
    index = LinkIndex(geometry, population, SearchLimits().block)
    pairs, _ = index.candidates(index.cutoff(10**9), 0.0, lambda: True)
    bounds = dict(
        zip(zip(*map(list, (pairs.fewer, pairs.more)), strict=True), pairs.surprises, strict=True)
    )
    overlaps = all_overlaps(geometry, population)
    compared = {pair: each for pair, each in overlaps.items() if each.covered >= LEAST_SHARED}
    assert len(compared) > 5
    for pair, scored in compared.items():
        assert bounds[pair] >= surprise(scored.covered, scored.expected) - 1e-9


def as_pairs(search: LinkSearch) -> dict[tuple[int, int], Overlap]:
    """Links by pair."""
    return {(link.fewer, link.more): link.overlap for link in search.links}


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 10),
    st.integers(0, 40),
    st.integers(0, 6),
    st.integers(1, 4),
    st.sampled_from([0.02, 0.1]),
)
def test_the_search_finds_what_comparing_all_pairs_finds(
    seed: int, accounts: int, shared: int, sharers: int, width: int, fraction: float
) -> None:
    """The same pairs, with the same overlap, in any population."""
    geometry = geometry_of(width, fraction)
    population = population_of(geometry, seed, accounts, shared, sharers)
    expected, search = by_all_pairs(geometry, population), find_links(geometry, population)
    assert (search.records_left, search.candidates_left) == (0, 0)
    links = as_pairs(search)
    assert links.keys() == expected.keys()
    for pair, scored in links.items():
        assert scored.covered == expected[pair].covered
        assert scored.expected == pytest.approx(expected[pair].expected)
        assert scored.variance == pytest.approx(expected[pair].variance)
    scores = [link.overlap.score for link in search.links]
    assert scores == sorted(scores, reverse=True)


GEOMETRY = geometry_of(2, 0.02)
CROWD = population_of(GEOMETRY, 1, 60, 25, 3)
TRUE_PAIRS = {(0, 1), (0, 2), (1, 2)}


def test_only_those_who_share_are_linked() -> None:
    """Of 1770 pairs the three that have records in common, and no other."""
    links = {tuple(sorted(pair)) for pair in as_pairs(find_links(GEOMETRY, CROWD))}
    assert links == TRUE_PAIRS


def test_the_most_crowded_records_are_left_out_first() -> None:
    """A tenth of the work finds the pairs all the same, and counts the records it left out."""
    whole = find_links(GEOMETRY, CROWD)
    tenth = find_links(GEOMETRY, CROWD, SearchLimits(neighbors=3000))
    assert 0 < tenth.records_left < sum(map(size, CROWD))
    assert set(as_pairs(tenth)) <= set(as_pairs(whole))
    assert find_links(GEOMETRY, CROWD, SearchLimits(neighbors=0)).links == ()


def test_candidates_that_are_not_compared_are_counted() -> None:
    """Both where there are too many, and where the time is up."""
    single = find_links(GEOMETRY, CROWD, SearchLimits(candidates=1))
    assert len(single.links) == 1
    assert single.candidates_left >= len(TRUE_PAIRS) - 1
    stopped = find_links(GEOMETRY, CROWD, compares_on=lambda: False)
    assert stopped.links == ()
    assert stopped.candidates_left >= len(TRUE_PAIRS)
    blind = find_links(GEOMETRY, CROWD, searches_on=lambda: False)
    assert (blind.links, blind.candidates_left) == ((), 0)
    assert blind.records_left == sum(map(size, CROWD))


def test_blocks_of_accounts_find_the_links_that_all_at_once_find() -> None:
    """Memory is bounded by searching some accounts at a time; the result is the same."""
    whole = find_links(GEOMETRY, CROWD)
    small = SearchLimits(block=500)
    assert find_links(GEOMETRY, CROWD, small) == whole
    answers = iter([True] * 20)
    some = find_links(GEOMETRY, CROWD, small, searches_on=lambda: next(answers, False))
    assert 0 < some.records_left < sum(map(size, CROWD))
    assert set(as_pairs(some)) <= set(as_pairs(whole))
