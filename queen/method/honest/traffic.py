"""Kinds of honest traffic: which samples an honest account sends, and in which order.

A thief asks about every class; an honest account may ask about few, about some far more than about
others, or about the same items again and again. Every figure for honest accounts names its kind.

Shapes: N samples, C classes, Q queries of an account.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError
from queen.method.honest.input_changes import InputChanges

Rows = NDArray[np.int64]
"""Rows of the samples, (Q,)."""

REPEATED_ITEMS = 300
"""Items that an account of that kind asks about again and again."""
ZIPF_EXPONENT = 1.5
"""The share of the class of rank k is proportional to 1 / k^1.5."""


class Kind(StrEnum):
    """A kind of honest traffic."""

    EVEN = "even"
    """All classes alike, as a thief's twin."""
    ONE_CLASS = "one class"
    TWO_CLASSES = "two classes"
    FOUR_CLASSES = "four classes"
    ZIPF = "zipf"
    """All classes, in an order of the account's own, the class of rank k 1 / k^1.5 as often."""
    REPEATED = "repeated items"
    """300 items, each sent many times with slight changes."""
    DRIFT = "drift"
    """All classes alike, while the inputs slowly change."""


ASKED_CLASSES = {Kind.ONE_CLASS: 1, Kind.TWO_CLASSES: 2, Kind.FOUR_CLASSES: 4}
"""The number of classes that an account of the kind asks about; the others ask about all."""
CHANGED = (Kind.REPEATED, Kind.DRIFT)
"""Kinds whose inputs are changed samples; the others send samples as they are."""


class ClassRows:
    """The rows of N samples by their class: `labels` (N,), true or predicted.

    Raises ConfigError without samples.
    """

    def __init__(self, labels: NDArray[np.integer]) -> None:
        if not len(labels):
            raise ConfigError("expected at least 1 sample to draw honest traffic from, got 0")
        self.samples = len(labels)
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order])) + 1
        self._by_class: list[Rows] = np.split(order, starts)

    def __len__(self) -> int:
        return len(self._by_class)

    def kinds(self) -> list[Kind]:
        """The kinds that make sense: an account of few classes asks about fewer than all."""
        return [kind for kind in Kind if ASKED_CLASSES.get(kind, 0) < len(self)]

    def draw(self, kind: Kind, queries: int, rng: np.random.Generator) -> Rows:
        """The rows that a new account of that kind sends, (Q,).

        The account sends each sample of a class once before it sends one again. `REPEATED` sends
        each of its items about as often as the others, `DRIFT` draws as `EVEN`.
        """
        if kind is Kind.REPEATED:
            items = self.draw(Kind.EVEN, REPEATED_ITEMS, rng)
            return items[rng.integers(REPEATED_ITEMS, size=queries)]
        shares = self._shares(kind)
        mine = rng.permutation(len(self))[: len(shares)]
        asked = mine[rng.choice(len(shares), queries, p=shares)]
        rows = np.empty(queries, np.int64)
        for label in np.unique(asked).tolist():
            places = np.flatnonzero(asked == label)
            rows[places] = _shuffled(self._by_class[label], len(places), rng)
        return rows

    def _shares(self, kind: Kind) -> NDArray[np.float64]:
        """Shares of the account's classes, whichever they are, largest first."""
        if kind is Kind.ZIPF:
            weights = 1.0 / np.arange(1, len(self) + 1) ** ZIPF_EXPONENT
        else:
            weights = np.ones(min(ASKED_CLASSES.get(kind, len(self)), len(self)))
        shares: NDArray[np.float64] = weights / weights.sum()
        return shares


def _shuffled(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    passes = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(passes)[:count]


@dataclass(frozen=True, eq=False)
class Views:
    """The inputs that accounts of a kind send, each a view of a sample.

    `inputs` (M V, ...) are V views of each of M samples; `rows` (M V,) names the sample of each.
    """

    kind: Kind
    inputs: NDArray[Any]
    rows: Rows
    by_class: ClassRows
    """The M samples by their class."""

    def orders(self, accounts: int, queries: int, rng: np.random.Generator) -> Rows:
        """The views that new accounts send, (A, Q), as rows of `inputs`."""
        count = len(self.rows) // self.by_class.samples
        view = np.arange(queries) * count // queries
        orders = np.empty((accounts, queries), np.int64)
        for order in orders:
            if self.kind is not Kind.DRIFT:
                view = rng.integers(count, size=queries)
            order[:] = self.by_class.draw(self.kind, queries, rng) * count + view
        return orders


class HonestSamples:
    """Samples (N, ...) that honest accounts send, of classes `labels` (N,), true or predicted."""

    def __init__(self, samples: NDArray[Any], labels: NDArray[np.integer]) -> None:
        self._samples = samples
        self._labels = labels
        self._by_class = ClassRows(labels)
        self._changes = InputChanges(samples)

    def kinds(self) -> list[Kind]:
        """The kinds that make sense for these samples."""
        kinds = self._by_class.kinds()
        return [kind for kind in kinds if kind is not Kind.DRIFT or self._changes.can_change]

    def send(self, kind: Kind, queries: int, rng: np.random.Generator) -> tuple[NDArray[Any], Rows]:
        """Inputs (Q, ...) of a new account, and the sample of each, (Q,)."""
        rows = self._by_class.draw(kind, queries, rng)
        inputs = self._samples[rows]
        if kind is Kind.REPEATED:
            return self._changes.slight(inputs, rng), rows
        if kind is Kind.DRIFT:
            return self._changes.drifted(inputs, np.arange(queries) / queries, rng), rows
        return inputs, rows

    def views(self, kind: Kind, rng: np.random.Generator) -> Views:
        """All inputs that accounts of a kind may send: samples as they are, or changed.

        Of repeated items there are 24 views and of a drift 10 stages, of at most 2,000 and
        4,000 samples; each account draws among them.
        """
        count, most = _VIEWS.get(kind, (1, len(self._samples)))
        kept = np.arange(len(self._samples))
        if most < len(kept):
            kept = rng.permutation(kept)[:most]
        rows = np.repeat(kept, count)
        inputs = self._samples[rows] if count > 1 else self._samples
        if kind is Kind.REPEATED:
            inputs = self._changes.slight(inputs, rng)
        elif kind is Kind.DRIFT:
            progress = np.tile(np.arange(count) / (count - 1), len(kept))
            inputs = self._changes.drifted(inputs, progress, rng)
        return Views(kind, inputs, rows, ClassRows(self._labels[kept]))


_VIEWS = {Kind.REPEATED: (24, 2000), Kind.DRIFT: (10, 4000)}
"""Views of a sample and most samples, of the kinds whose inputs are changed."""
