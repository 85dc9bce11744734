from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queen.method import link_search
from queen.method.geometry import Geometry
from queen.method.link_search import LinkSearch, find_links
from queen.method.linkage import (
    FALSE_LINKS,
    LEAST_SHARED,
    Ledger,
    Overlap,
    least_surprise,
    linked_groups,
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
) -> list[Ledger]:
    """Accounts of 0 to 60 records a class; `sharers` of them have `shared` places in common."""
    rng = np.random.default_rng(seed)
    width = geometry.embedding_width
    common = 0.4 * rng.normal(size=(CLASSES, shared, width))
    ledgers: list[Ledger] = []
    for number in range(accounts):
        ledger = {}
        for label, center in enumerate(geometry.cluster_centers):
            own = 0.4 * rng.normal(size=(rng.integers(0, 60), width))
            if number < sharers:
                noise = geometry.coverage_fraction * rng.normal(size=common[label].shape)
                own = np.concatenate([own, common[label] + 0.3 * noise])
            if len(own):
                ledger[label] = (center + own).astype(np.float32)
        ledgers.append(ledger)
    return ledgers


def size(ledger: Ledger) -> int:
    """Records over all classes."""
    return sum(map(len, ledger.values()))


def by_all_pairs(geometry: Geometry, ledgers: list[Ledger]) -> dict[tuple[int, int], Overlap]:
    """Every likely link, each pair scored by `overlap` against all others' records."""
    pairs = list(combinations(range(len(ledgers)), 2))
    found = {}
    for pair in pairs:
        one, other = sorted(pair, key=lambda place: (size(ledgers[place]), place))
        crowd: dict[int, np.ndarray] = {}
        for place, ledger in enumerate(ledgers):
            for label, records in ledger.items() if place not in pair else ():
                crowd[label] = np.concatenate([crowd.get(label, records[:0]), records])
        scored = overlap(geometry, ledgers[one], ledgers[other], crowd)
        if scored.is_likely(len(pairs)):
            found[one, other] = scored
    return found


@pytest.mark.parametrize(("fraction", "accounts"), [(0.02, 20), (0.1, 8), (0.3, 8)])
def test_no_pair_is_surprising_that_does_not_look_so(
    fraction: float, accounts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pair is judged by before it is compared is never below what comparing it gives."""
    monkeypatch.setattr(link_search, "least_surprise", lambda _pairs: 0.0)
    geometry = geometry_of(2, fraction)
    ledgers = population_of(geometry, 3, accounts, 10, 3)
    search = link_search._Search(geometry, ledgers)
    found, _ = search.candidates(search.cutoff(10**9), lambda: True)
    looks = dict(zip(zip(*map(list, found[:2]), strict=True), found.surprises, strict=True))
    monkeypatch.setattr(Overlap, "is_likely", lambda each, _pairs: each.covered >= LEAST_SHARED)
    compared = by_all_pairs(geometry, ledgers)
    assert len(compared) > 5
    for pair, scored in compared.items():
        assert looks[pair] >= surprise(scored.covered, scored.expected) - 1e-9


def as_pairs(search: LinkSearch) -> dict[tuple[int, int], Overlap]:
    """Links by pair."""
    return {(link.one, link.other): link.overlap for link in search.links}


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
    ledgers = population_of(geometry, seed, accounts, shared, sharers)
    expected, search = by_all_pairs(geometry, ledgers), find_links(geometry, ledgers)
    assert (search.records_left, search.candidates_left) == (0, 0)
    found = as_pairs(search)
    assert found.keys() == expected.keys()
    for pair, scored in found.items():
        assert scored.covered == expected[pair].covered
        assert scored.expected == pytest.approx(expected[pair].expected)
        assert scored.variance == pytest.approx(expected[pair].variance)
    scores = [link.overlap.score for link in search.links]
    assert scores == sorted(scores, reverse=True)


GEOMETRY = geometry_of(2, 0.02)
CROWD = population_of(GEOMETRY, 1, 60, 25, 3)
TRUE_PAIRS = {(0, 1), (0, 2), (1, 2)}


def test_only_those_who_share_are_linked() -> None:
    """Of 1770 pairs the three that have places in common, and no other."""
    found = {tuple(sorted(pair)) for pair in as_pairs(find_links(GEOMETRY, CROWD))}
    assert found == TRUE_PAIRS


def test_the_most_crowded_records_are_left_out_first() -> None:
    """A tenth of the work finds the pairs all the same, and says what it did not look at."""
    whole = find_links(GEOMETRY, CROWD)
    tenth = find_links(GEOMETRY, CROWD, most_neighbors=3000)
    assert 0 < tenth.records_left < sum(map(size, CROWD))
    assert set(as_pairs(tenth)) <= set(as_pairs(whole))
    assert find_links(GEOMETRY, CROWD, most_neighbors=0).links == ()


def test_candidates_that_are_not_compared_are_counted() -> None:
    """By number, and when the time is up."""
    one = find_links(GEOMETRY, CROWD, most_candidates=1)
    assert len(one.links) == 1
    assert one.candidates_left >= len(TRUE_PAIRS) - 1
    stopped = find_links(GEOMETRY, CROWD, compares_on=lambda: False)
    assert stopped.links == ()
    assert stopped.candidates_left >= len(TRUE_PAIRS)
    blind = find_links(GEOMETRY, CROWD, looks_on=lambda: False)
    assert (blind.links, blind.candidates_left) == ((), 0)
    assert blind.records_left == sum(map(size, CROWD))


def test_blocks_of_accounts_find_what_all_at_once_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by looking at some accounts at a time; the result is the same."""
    whole = find_links(GEOMETRY, CROWD)
    monkeypatch.setattr(link_search, "_BLOCK", 500)
    assert find_links(GEOMETRY, CROWD) == whole
    answers = iter([True] * 20)
    some = find_links(GEOMETRY, CROWD, looks_on=lambda: next(answers, False))
    assert 0 < some.records_left < sum(map(size, CROWD))
    assert set(as_pairs(some)) <= set(as_pairs(whole))


def test_few_records_in_common_are_no_link_among_many_pairs() -> None:
    """Two rare records reach the score where hardly any is expected."""
    rare = Overlap(2, 0.05, 0.05)
    assert rare.score > 6
    assert not rare.is_likely(1)
    small = Overlap(LEAST_SHARED, 0.1, 0.1)
    assert small.is_likely(1)
    assert not small.is_likely(10**8)


def test_surprise_bounds_the_chance_of_a_sum_of_events() -> None:
    """Simulated: so much surprise is met no more often than it says."""
    rng = np.random.default_rng(0)
    chances = rng.uniform(0, 0.2, 40)
    sums = (rng.uniform(size=(200_000, 40)) < chances).sum(axis=1)
    for covered in range(5, 15):
        met = (sums >= covered).mean()
        assert met <= np.exp(-surprise(covered, float(chances.sum()))) + 1e-3
    assert surprise(3, 5.0) == surprise(3, 0.0) == 0.0
    assert np.exp(-least_surprise(66)) * 66 == pytest.approx(FALSE_LINKS)


def test_pairs_that_meet_are_one_group() -> None:
    """A chain joins its ends; groups are in order of their ids."""
    pairs = [("d", "b"), ("x", "y"), ("b", "a")]
    assert linked_groups(pairs) == [["a", "b", "d"], ["x", "y"]]
    assert linked_groups([]) == []
