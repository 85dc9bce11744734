"""The queries of observed accounts in the order in which they came, read from a decision log.

Shapes: N queries of A accounts. R <= N of them are charged to the observed ledgers of V lives: a
life is an owner under one generation. Of the ledgers of lives, L were reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import DecisionLogInvalid
from queen.method.facts import Fact, Observed
from queen.method.geometry import FloatArray, Geometry
from queen.replay.chain import find_breaks
from queen.replay.chunks import Chunk

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Ledgers(NamedTuple):
    """The L ledgers that R queries reached, in the order of life and class."""

    life: IntArray
    """(L,) in 0..V-1."""
    labels: IntArray
    """Class of each ledger, (L,)."""
    of_row: IntArray
    """The ledger of each query, (R,) in 0..L-1."""


@dataclass(frozen=True, eq=False)
class Charged:
    """The observed ledgers of accounts, or of groups, and the queries that are charged to them."""

    rows: IntArray
    """The queries, ascending, (R,) in 0..N-1."""
    life: IntArray
    """(R,) in 0..V-1."""
    labels: IntArray
    """Predicted classes, (R,)."""
    before: FloatArray
    """CQS of the ledger before each query, (R,)."""
    after: FloatArray
    """CQS of the ledger after each query, (R,)."""
    is_far: BoolArray
    """Whether each query is in the tail, in a cell that is new to its owner, (R,)."""
    owners: IntArray
    """The account or group of each life, (V,)."""

    @cached_property
    def ledgers(self) -> Ledgers:
        """The ledgers of these queries."""
        classes = int(self.labels.max(initial=0)) + 1
        pairs, of_row = np.unique(self.life * classes + self.labels, return_inverse=True)
        return Ledgers(*np.divmod(pairs, classes), of_row.reshape(-1))

    @property
    def is_novel(self) -> BoolArray:
        """Whether each query was recorded, (R,): observed ledgers have no limit."""
        return self.after > self.before

    @property
    def resets(self) -> int:
        """Erasures amid the log, after which an owner began anew."""
        return len(self.owners) - len(np.unique(self.owners))

    def breaks(self) -> tuple[IntArray, int, int]:
        """Owners of whose ledgers the log lacks records; how often; and contradictions."""
        ledger = self.ledgers.of_row
        order = np.lexsort((self.after, self.before, ledger))
        ordered, before, after = ledger[order], self.before[order], self.after[order]
        gaps, overlaps = find_breaks(ordered[1:] == ordered[:-1], before, after)
        owners = np.unique(self.owners[self.life[order[gaps]]])
        return owners, int(gaps.sum()), int(overlaps.sum())


@dataclass(frozen=True, eq=False)
class ObservedTraffic:
    """N queries of accounts under `observe`, in order, and the ledgers that they are charged to."""

    accounts: IntArray
    """The account of each query, (N,)."""
    times: NDArray[np.datetime64]
    """When each request was logged, (N,)."""
    is_exempt: BoolArray
    """Whether the account was exempt, (N,)."""
    is_inside: BoolArray
    """Whether each query lies inside the sensitive region of its class, (N,)."""
    starts: IntArray
    """The first query of the request that each query came in, (N,)."""
    own: Charged
    grouped: Charged

    def __len__(self) -> int:
        return len(self.accounts)

    @property
    def days(self) -> NDArray[np.datetime64]:
        """The day of each query, in UTC, (N,)."""
        return self.times.astype("M8[D]")


class TrafficReader:
    """Collects the observed queries of chunks, and counts the others."""

    def __init__(self, files: list[str], geometry: Geometry) -> None:
        self._files = files
        self._geometry = geometry
        self._parts: list[NDArray[np.void]] = []
        self.other_rows = 0
        """Queries of accounts that were not under `observe` when they were logged."""
        self.other_accounts: set[int] = set()
        """Accounts that sent them."""
        self.other_groups: set[int] = set()
        """Groups of these accounts."""

    def add(self, chunk: Chunk) -> None:
        """Keep the observed queries of a chunk; DecisionLogInvalid for a line without a time."""
        request = chunk.request
        is_observed = chunk.facts["observed"] & Observed.CHARGED > 0
        others = request[~is_observed]
        self.other_rows += len(others)
        self.other_accounts |= set(chunk.accounts[others].tolist())
        self.other_groups |= set(chunk.groups[others].tolist()) - {-1}
        rows = np.flatnonzero(is_observed)
        part = np.zeros(len(rows), _COLUMNS)
        part["time"] = self._times(chunk)[request[rows]]
        for name, values in (
            ("file", chunk.files),
            ("line", chunk.lines),
            ("account", chunk.accounts),
            ("group", chunk.groups),
        ):
            part[name] = values[request[rows]]
        part["row"], part["label"] = chunk.row[rows], chunk.labels[rows]
        radius = self._geometry.sensitive_radius[chunk.labels[rows]]
        part["is_inside"] = chunk.facts["distances"][rows] < radius
        for name in _FACTS:
            part[name] = chunk.facts[name][rows]
        self._parts.append(part)

    def close(self) -> ObservedTraffic:
        """The queries in order of time; DecisionLogInvalid if there are none."""
        queries = np.concatenate([np.zeros(0, _COLUMNS), *self._parts])
        if not len(queries):
            raise DecisionLogInvalid(
                f"{', '.join(self._files)}: expected queries of accounts under observe, got none; "
                "give accounts the profile observe and run the front door with --decision-log all"
            )
        queries = queries[self._order(queries)]
        everybody = np.arange(len(queries))
        return ObservedTraffic(
            accounts=queries["account"],
            times=queries["time"],
            is_exempt=queries["bits"] & Fact.EXEMPT > 0,
            is_inside=queries["is_inside"],
            starts=everybody - queries["row"],
            own=_charged(queries, everybody, "account", ""),
            grouped=_charged(queries, np.flatnonzero(queries["group"] >= 0), "group", "group_"),
        )

    def _times(self, chunk: Chunk) -> NDArray[np.datetime64]:
        """When each request of a chunk was logged, (Q,)."""
        try:
            # NumPy knows no time zones; the front door writes UTC.
            return np.array([moment.removesuffix("Z") for moment in chunk.moments], "M8[us]")
        except ValueError as error:
            first = f"{self._files[chunk.files[0]]}:{chunk.lines[0]}"
            raise DecisionLogInvalid(
                f"{first} or after: expected times like 2026-01-31T12:00:00.000000Z in 'ts', "
                f"got another ({error})"
            ) from error

    def _order(self, queries: NDArray[np.void]) -> IntArray:
        """The order of time; queries of the same moment in the order of the log."""
        first = np.full(len(self._files), np.datetime64("NaT"), "M8[us]")
        np.fmin.at(first, queries["file"], queries["time"])
        # A rotated file may be given before an older one.
        age = np.argsort(np.argsort(first, kind="stable"), kind="stable")
        return np.lexsort((queries["row"], queries["line"], age[queries["file"]], queries["time"]))


_FACTS = (
    "bits",
    "observed",
    *(
        f"observed_{prefix}{name}"
        for prefix in ("", "group_")
        for name in ("cqs_before", "cqs_after", "generations")
    ),
)
_COLUMNS = np.dtype(
    [
        ("time", "M8[us]"),
        ("is_inside", "?"),
        *((name, "<i8") for name in ("file", "line", "row", "account", "group", "label")),
        *((name, "<f8" if "cqs" in name else "<i8") for name in _FACTS),
    ]
)


def _charged(queries: NDArray[np.void], rows: IntArray, owner: str, prefix: str) -> Charged:
    charged = queries[rows]
    names = np.stack([charged[owner], charged[f"observed_{prefix}generations"]], axis=1)
    lives, life = np.unique(names, axis=0, return_inverse=True)
    return Charged(
        rows,
        life.reshape(-1),
        charged["label"],
        charged[f"observed_{prefix}cqs_before"],
        charged[f"observed_{prefix}cqs_after"],
        charged["observed"] & (Observed.GROUP_FAR if prefix else Observed.FAR) > 0,
        lives[:, 0],
    )
