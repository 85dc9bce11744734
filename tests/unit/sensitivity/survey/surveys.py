"""Populations of accounts for the tests of surveys."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import LedgerStore
from queen_sensitivity.ledgers.thresholds import Thresholds
from queen_sensitivity.survey.accounts import AccountReader
from queen_sensitivity.survey.loop import SurveyLoop
from queen_sensitivity.survey.surveyor import Surveyor

from queen.method.geometry import Geometry
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


def shares(budget: int = 100) -> Thresholds:
    """Thresholds like those of `book_of`."""
    return Thresholds(GEOMETRY, np.full(CLASSES, 0.4), budget)


def surveyor_of(store: LedgerStore, geometry: Geometry = GEOMETRY, **options: int) -> Surveyor:
    """A surveyor over `store` at noon."""
    reader = AccountReader(geometry, shares(), store, meter_of(geometry))
    return Surveyor(reader, geometry, shares().table(0), now_nanos=lambda: 42, **options)


def loop_of(store: LedgerStore, every_seconds: float = 0.001) -> SurveyLoop:
    """A loop that surveys again at once."""
    return SurveyLoop(surveyor_of(store), every_seconds)


def ask(store: LedgerStore, name: str, seed: int, shared: int = 0, group: str = "") -> None:
    """60 queries a class of one account, `shared` of them the same for whoever shares."""
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
        ask(store, name, 10 + number, group="customer" if number < 3 else "")
    for number, name in enumerate(THIEVES):
        ask(store, name, 500 + number, shared=15)
