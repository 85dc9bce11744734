"""The accounts of a survey that are compared with each other, and the links suggested."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from queen.method.geometry import Geometry
from queen.method.links.link_search import Link, find_links
from queen.method.links.linkage import LEAST_SHARED
from queen_sensitivity.ledger_store import Records
from queen_sensitivity.survey.accounts import AccountState

MOST_LINKS = 1000
"""Most links that a survey keeps."""
POOL_SIZE = 1_000_000
"""Records, and classes of accounts, that are compared: about 150 MB while it lasts."""
PART_SECONDS = 60.0
"""Longest time of each part of a search: the search for candidates, and their comparison."""


@dataclass(frozen=True)
class SuggestedLink:
    """Two accounts; `shared` of the first one's `records` lie within r of the other's."""

    account_id: str
    other_account_id: str
    score: float
    shared: int
    expected: float
    records: int
    other_records: int


@dataclass(frozen=True)
class Comparison:
    """The strongest of `links_found` links, the strongest first, and how much was left out."""

    links: tuple[SuggestedLink, ...]
    links_found: int
    accounts_left_out: int
    records_left_out: int
    pairs_left_out: int

    def without(self, account_ids: set[str]) -> Comparison:
        """The comparison without the links of these accounts."""
        kept = tuple(
            link
            for link in self.links
            if not account_ids & {link.account_id, link.other_account_id}
        )
        dropped = len(self.links) - len(kept)
        return replace(self, links=kept, links_found=self.links_found - dropped)


class AccountPool:
    """The accounts to compare, up to a size; accounts with the fewest records leave first.

    Links of such accounts matter least, since a copy needs many records.
    """

    def __init__(self, geometry: Geometry, most: int = POOL_SIZE) -> None:
        self._geometry = geometry
        self._room = most
        self._kept: list[tuple[int, str, Mapping[int, Records]]] = []
        self._left_out = 0

    def offer(self, state: AccountState) -> None:
        """Add an account, if need be in place of smaller accounts."""
        if state.record_count < LEAST_SHARED:
            return
        heapq.heappush(self._kept, (state.record_count, state.account_id, state.records))
        self._room -= state.record_count + self._geometry.num_classes
        while self._room < 0:
            records, _, _ = heapq.heappop(self._kept)
            self._room += records + self._geometry.num_classes
            self._left_out += 1

    def compare(self, proceed: Callable[[], bool], clock: Callable[[], float]) -> Comparison:
        """The links among the accounts that were kept; fewer if `proceed` says False."""
        kept = sorted(self._kept, key=lambda account: account[1])
        counts, names, ledgers = zip(*kept, strict=True) if kept else ((), (), ())
        search = find_links(
            self._geometry,
            ledgers,
            searches_on=_Allowance(proceed, clock),
            compares_on=_Allowance(proceed, clock),
        )
        return Comparison(
            tuple(_suggested(link, names, counts) for link in search.links[:MOST_LINKS]),
            len(search.links),
            self._left_out,
            search.records_left,
            search.candidates_left,
        )


class _Allowance:
    """Allows PART_SECONDS of work from the first call on."""

    def __init__(self, proceed: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._proceed = proceed
        self._clock = clock
        self._until: float | None = None

    def __call__(self) -> bool:
        """Whether the work may go on."""
        if self._until is None:
            self._until = self._clock() + PART_SECONDS
        return self._proceed() and self._clock() < self._until


def _suggested(link: Link, names: tuple[str, ...], counts: tuple[int, ...]) -> SuggestedLink:
    return SuggestedLink(
        names[link.fewer],
        names[link.more],
        link.overlap.score,
        link.overlap.covered,
        link.overlap.expected,
        counts[link.fewer],
        counts[link.more],
    )
