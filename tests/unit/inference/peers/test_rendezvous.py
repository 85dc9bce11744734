"""The endpoint that an owner belongs to."""

from __future__ import annotations

from collections import Counter

import pytest
from queen_inference.peers.rendezvous import Rendezvous, weight

FIVE = [f"10.0.0.{number}:8101" for number in range(1, 6)]
OWNERS = [f"account-{number}" for number in range(10_000)]


@pytest.mark.parametrize(
    ("endpoint", "owner", "expected"),
    [
        ("10.0.0.1:8101", "alice", 6995357281009475396),
        ("10.0.0.2:8101", "alice", 14912720586573679811),
        ("[fd00::3]:8101", "group acme", 12567119052777512117),
        ("10.0.0.1:8101", "zoë", 2840561902791249147),
    ],
)
def test_weights_never_change(endpoint: str, owner: str, expected: int) -> None:
    """Another process, release or language must come to the same numbers."""
    assert weight(endpoint, owner) == expected


def test_the_order_of_the_endpoints_changes_nothing() -> None:
    """Front doors that got the addresses in another order choose alike."""
    forward, backward = Rendezvous(FIVE), Rendezvous(reversed(FIVE))
    assert all(forward.ranking(owner) == backward.ranking(owner) for owner in OWNERS[:500])


def test_owners_are_spread_evenly() -> None:
    """10,000 owners over 5 endpoints: each has a fifth, give or take 5 standard deviations."""
    chosen = Counter(Rendezvous(FIVE).choose(owner, FIVE) for owner in OWNERS)
    assert set(chosen) == set(FIVE)
    assert all(abs(count - 2000) < 5 * (10_000 * 0.2 * 0.8) ** 0.5 for count in chosen.values())


def test_an_endpoint_that_leaves_moves_its_own_owners_only() -> None:
    """Known to be down or no longer known: the owners of the others stay, its own spread."""
    before, left = Rendezvous(FIVE), FIVE[1:]
    after = Rendezvous(left)
    moved: Counter[str] = Counter()
    for owner in OWNERS:
        home = before.choose(owner, FIVE)
        assert after.choose(owner, left) == before.choose(owner, left)
        if home in left:
            assert after.choose(owner, left) == home
        else:
            moved[after.choose(owner, left)] += 1
    assert set(moved) == set(left)
    assert max(moved.values()) < 0.3 * moved.total()
