"""Every store against a plain dict, over random histories."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from queen_sensitivity.ledger_store import (
    Append,
    Appended,
    Conflict,
    LedgerKey,
    LedgerStore,
    Regressed,
    Renewed,
    packed_end,
)

from tests.contract.ledger_stores import DURABLE, STORES, OpenStore, records_of

KEYS = st.builds(
    LedgerKey, st.sampled_from(["a", "b", "ä"]), st.sampled_from(["g", "h"]), st.integers(0, 2)
)
APPENDS = st.lists(
    st.tuples(
        KEYS,
        st.integers(0, 6),
        st.integers(0, 3),
        st.sampled_from([-1, 0, 0, 0, 0, 0, 1]),
        st.sampled_from(["", "right", "right", "wrong"]),
    ),
    max_size=4,
)


class StoreHistory(RuleBasedStateMachine):
    """Appends, erasures, loads and restarts; the oracle is a dict of lists."""

    open_store: OpenStore
    is_durable: bool

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._store: LedgerStore = type(self).open_store(Path(self._folder.name))
        self._truth: dict[LedgerKey, list[float]] = {}
        self._generations: dict[tuple[str, str], int] = {}
        self._next = 0.0

    @rule(wanted=APPENDS)
    def append(self, wanted: list[tuple[LedgerKey, int, int, int, str]]) -> None:
        """Several appends in one call; each answer is that of the dict."""
        appends = []
        for key, expected, count, ahead, claim in wanted:
            fresh = [self._next + row for row in range(count)]
            self._next += count
            generation = max(0, self._generations.get(key[:2], 0) + ahead)
            behind = self._behind(key, expected, claim)
            appends.append(Append(key, expected, records_of(*fresh), generation, behind))
        for append, result in zip(appends, self._store.append_many(appends), strict=True):
            self._check(append, result)

    def _behind(self, key: LedgerKey, expected: int, claim: str) -> bytes:
        """The record that the caller expects before its own, right or wrong."""
        known = self._truth.get(key, [])[:expected]
        if not expected or not claim:
            return b""
        return packed_end(records_of(known[-1] if known and claim == "right" else -1.0))

    def _check(self, append: Append, result: object) -> None:
        known_generation = self._generations.get(append.key[:2], 0)
        if append.generation < known_generation:
            assert result == Renewed(known_generation)
            return
        if append.generation > known_generation:
            self._forget(append.key[:2], append.generation)
        known = self._truth.get(append.key, [])
        before = known[: append.expected_version]
        is_other = bool(append.behind) and append.behind != packed_end(records_of(*before))
        if append.expected_version > len(known) or is_other:
            assert result == Regressed(len(known))
        elif append.expected_version < len(known):
            assert isinstance(result, Conflict)
            missing = known[append.expected_version :]
            assert result.missing_tail[:, 0].tolist() == missing
        else:
            known = known + append.records[:, 0].tolist()
            assert result == Appended(len(known))
            if known:
                self._truth[append.key] = known

    def _forget(self, owner: tuple[str, str], generation: int) -> None:
        self._truth = {key: kept for key, kept in self._truth.items() if key[:2] != owner}
        self._generations[owner] = generation

    @rule(key=KEYS, least=st.integers(0, 9))
    def erase(self, key: LedgerKey, least: int) -> None:
        """Erase an account under one geometry; its generation is a new one, as large as asked."""
        account, geometry, _ = key
        self._store.erase(account, [geometry], least)
        (generation,) = self._store.generations([account], geometry)
        assert generation > self._generations.get((account, geometry), 0)
        assert generation >= least
        self._forget((account, geometry), generation)

    @rule()
    def restart(self) -> None:
        """Close and open again: no record is lost."""
        if type(self).is_durable:
            self._store.close()
            self._store = type(self).open_store(Path(self._folder.name))

    @rule(after=st.sampled_from(["", "a", "b", "ä", "z"]), limit=st.integers(1, 3))
    def list_accounts(self, after: str, limit: int) -> None:
        """A page is a part of the sorted ids."""
        known = sorted({key.account_id for key in self._truth if key.geometry_digest == "g"})
        expected = [name for name in known if name > after][:limit]
        assert self._store.list_accounts("g", after, limit) == expected

    @invariant()
    def loads_agree(self) -> None:
        """The records of every account are those of the dict."""
        for account in ("a", "b", "ä"):
            for geometry in ("g", "h"):
                loaded = self._store.load(account, geometry)
                expected = {
                    key.label: records
                    for key, records in self._truth.items()
                    if key[:2] == (account, geometry)
                }
                assert {
                    label: np.asarray(records)[:, 0].tolist() for label, records in loaded.items()
                } == expected

    def teardown(self) -> None:
        """Close the store and remove its folder."""
        self._store.close()
        self._folder.cleanup()


@pytest.mark.parametrize("name", list(STORES))
def test_every_history_agrees_with_a_dict(name: str) -> None:
    """No sequence of appends, erasures, restarts and lists tells the store from the oracle."""
    machine = type(
        "History",
        (StoreHistory,),
        {"open_store": staticmethod(STORES[name]), "is_durable": name in DURABLE},
    )
    case = machine.TestCase
    case.settings = settings(
        max_examples=15,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    case().runTest()
