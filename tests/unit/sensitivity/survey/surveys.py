"""Populations of accounts for the tests of surveys."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import LedgerStore, MemoryLedgerStore
from queen_sensitivity.survey.accounts import AccountReader
from queen_sensitivity.survey.loop import SurveyLoop
from queen_sensitivity.survey.surveyor import Survey, Surveyor

from queen.method.crossing import Thresholds, published
from queen.method.geometry import Geometry
from queen.method.packing import RegionProbes
from tests.unit.sensitivity.regions import (
    CLASSES,
    batch_of,
    book_of,
    disc,
    meter_of,
    small_geometry,
)

GEOMETRY = small_geometry(0.02)
THIEVES = ("thief-1", "thief-2")
HONEST = tuple(f"honest-{number}" for number in range(20))


def thresholds_of(budget: int = 100, geometry: Geometry = GEOMETRY) -> Thresholds:
    """Thresholds like those of `book_of`."""
    return Thresholds(geometry, np.full(CLASSES, 0.4), published(budget))


def reader_of(store: LedgerStore, geometry: Geometry = GEOMETRY) -> AccountReader:
    """A reader of the accounts in `store`."""
    return AccountReader(geometry, thresholds_of(geometry=geometry), store, meter_of(geometry))


def surveyor_of(
    store: LedgerStore, budget: int = 100, **options: int | Callable[[], float]
) -> Surveyor:
    """A surveyor over `store` whose surveys end 42 ns after 1970 began."""
    table = thresholds_of(budget).of_policy().thresholds
    probes = RegionProbes(GEOMETRY)
    return Surveyor(reader_of(store), GEOMETRY, table, probes, now_nanos=lambda: 42, **options)  # type: ignore[arg-type] - keywords of several types


def loop_of(store: LedgerStore, every_seconds: float = 0.001) -> SurveyLoop:
    """A loop that surveys again at once."""
    return SurveyLoop(surveyor_of(store).survey, every_seconds, threading.Event())


def survey_of(surveyor: Surveyor) -> Survey:
    """A whole survey."""
    survey = surveyor.survey()
    assert survey is not None
    return survey


def linked(survey: Survey) -> set[frozenset[str]]:
    """The pairs that are suggested."""
    return {frozenset((link.account_id, link.other_account_id)) for link in survey.comparison.links}


def send(store: LedgerStore, name: str, seed: int, shared: int = 0, group: str = "") -> None:
    """60 queries a class of one account; the first `shared` are the same for every account."""
    book = book_of(GEOMETRY, store, budget=100)
    for label in range(CLASSES):
        common = disc(GEOMETRY, label, 999, shared) if shared else disc(GEOMETRY, label, 0, 0)
        own = disc(GEOMETRY, label, seed, 60 - len(common))
        embeddings = np.concatenate([common, own])
        policy = AccountPolicy(name, group=group)
        book.assess(batch_of([policy], embeddings, np.full(len(embeddings), label)))


def populate(store: LedgerStore) -> None:
    """20 honest accounts, three of them in a group, and two thieves who share 15 of 60 images."""
    for number, name in enumerate(HONEST):
        send(store, name, 10 + number, group="customer" if number < 3 else "")
    for number, name in enumerate(THIEVES):
        send(store, name, 500 + number, shared=15)


def populated_store() -> MemoryLedgerStore:
    """A store with that population."""
    store = MemoryLedgerStore()
    populate(store)
    return store
