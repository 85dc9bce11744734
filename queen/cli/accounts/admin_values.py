"""Values that the admin client returns and that the tables show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import CAP_OFF


@dataclass(frozen=True)
class AccountSummary:
    """The share of its budget that an account has spent, or a group under "group NAME"."""

    account_id: str
    records: int
    crossed_classes: tuple[int, ...]
    """Crossed classes."""
    budget_spent: float
    """cqs divided by T in the class where that is largest; the class is crossed above 1."""
    off_distribution: float = 0.0
    """Highest level of the off-distribution meter, divided by its limit; off for good from 1 on."""
    budget: int = 0
    """The budget that it is measured against, in records of a class."""
    is_over: bool = False
    """Whether it is over its budget."""
    needed_classes: int = 1
    """Crossed classes at which it is over."""
    class_cap: int = CAP_OFF
    """Budgets of one class at which it is over as well."""


@dataclass(frozen=True, eq=False)
class ClassLedger:
    """A ledger of an account: class, cqs, threshold T, and recorded embeddings (M E,)."""

    label: int
    cqs: float
    threshold: float
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Account:
    """An account with all its ledgers."""

    summary: AccountSummary
    classes: tuple[ClassLedger, ...]
    bundle_digest: str


@dataclass(frozen=True)
class Deleted:
    """Records that a deletion removed, and the geometries that they were under."""

    records: int
    geometries: int


@dataclass(frozen=True)
class Imported:
    """Accounts of an import, records that it added, and records that others cover."""

    accounts: int
    records_added: int
    records_covered: int


@dataclass(frozen=True)
class Crossing:
    """An account crossed the threshold of class `label`, or something else.

    `kind` is `threshold`, `class cap`, `breadth` or `off distribution`; the last two have no
    class.
    """

    time_unix_nanos: int
    account_id: str
    kind: str
    label: int
    level: float
    limit: float


@dataclass(frozen=True)
class Missed:
    """Count of the events that a watcher did not read in time."""

    count: int


@dataclass(frozen=True)
class Link:
    """Two accounts; `shared_records` of the first lie within r of the other's records.

    By chance `expected_records` would lie so; `score` is in standard deviations above that.
    """

    account_id: str
    other_account_id: str
    score: float
    shared_records: int
    expected_records: float
    records: int
    other_records: int


@dataclass(frozen=True)
class Survey:
    """The totals of a survey, and how much of the search for links it left out."""

    time_unix_nanos: int
    seconds: float
    accounts: int
    records: int
    accounts_over_budget: int
    budget_spent: float
    region_covered: float
    classes_cut: int
    accounts_not_compared: int
    records_not_compared: int
    pairs_not_compared: int
    links_found: int


@dataclass(frozen=True)
class SurveyedLinks:
    """The last survey, None before the first, with its links, the strongest first."""

    survey: Survey | None
    links: tuple[Link, ...]
    survey_seconds: float
    """Seconds from one survey to the next; 0 if the service makes no surveys."""
