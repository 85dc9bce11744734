"""Decision records as arrays: a chunk of requests, and the draft in which it is collected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from queen.decision_line import (
    ALL_NUMBERS,
    BITS,
    CAUSES,
    CHARGES,
    GROUP_BITS,
    GROUP_NUMBERS,
    NUMBERS,
    OBSERVED_BITS,
    OBSERVED_GROUP_BITS,
    OBSERVED_GROUP_NUMBERS,
    OBSERVED_NUMBERS,
    REPEATED,
    SCOPES,
    SINGLE,
    VERDICTS,
    facts_from,
)
from queen.errors import DecisionLogInvalid
from queen.method.crossing import CAP_OFF, OFF
from queen.method.enforcement import Scope
from queen.method.facts import FactArray

_LISTS = ("class", "verdict", "cause", "sqs", *NUMBERS, *BITS)
_GROUP_LISTS = (*GROUP_NUMBERS, *GROUP_BITS)
_OBSERVED_LISTS = (*OBSERVED_NUMBERS, *OBSERVED_BITS)
_OBSERVED_GROUP_LISTS = (*OBSERVED_GROUP_NUMBERS, *OBSERVED_GROUP_BITS)
_OPTIONAL = (REPEATED, *_GROUP_LISTS, *_OBSERVED_LISTS, *_OBSERVED_GROUP_LISTS)
_REAL = ("sqs", *(name for name in ALL_NUMBERS if not name.endswith("generation")))
_WHOLE = {
    **dict.fromkeys((*BITS, *GROUP_BITS, REPEATED, *OBSERVED_BITS, *OBSERVED_GROUP_BITS), 1),
    **dict.fromkeys((name for name in ALL_NUMBERS if name.endswith("generation")), 2**63 - 1),
}
"""Lists of whole numbers from 0 on, and the largest number that each may hold."""
_TERMS = ("scope", "exempt", "charge", "observed")
"""Claims that a record makes once for all its queries."""
_NAMES: Mapping[str, Mapping[str, int]] = {"verdict": VERDICTS, "cause": CAUSES}
_LARGEST = float(np.finfo(np.float64).max)
Fail = Callable[[str, str], NoReturn]
"""Raises DecisionLogInvalid for a line of a log, given the expected and the actual content."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Q requests and their B queries, in the order of the log.

    `files` and `lines` (Q,) tell where a request is in the logs, `moments` (Q,) when it was
    logged, as it is written there, and `accounts` and `groups` (Q,) which owners it charges, -1
    for no group. `request` (B,) in 0..Q-1 is the request of a
    query, and `row` (B,) the query's position in it. `labels`, `verdicts`, `causes`, `sqs` and
    `facts` are (B,).
    """

    files: NDArray[np.int64]
    lines: NDArray[np.int64]
    moments: Sequence[str]
    request: NDArray[np.int64]
    row: NDArray[np.int64]
    accounts: NDArray[np.int64]
    groups: NDArray[np.int64]
    labels: NDArray[np.int64]
    verdicts: NDArray[np.uint8]
    causes: NDArray[np.uint8]
    sqs: NDArray[np.float64]
    facts: FactArray

    def __len__(self) -> int:
        return len(self.labels)


class Origin(NamedTuple):
    """The position of a record in the logs, and the owners that it charges, all as indices from 0.

    The line counts from 1; a group of -1 stands for none. The moment is the line's time.
    """

    file: int
    line: int
    account: int
    group: int
    moment: str


def failing(file: str, line: int) -> Fail:
    """A function that refuses a line of a file."""

    def fail(expected: str, got: str) -> NoReturn:
        raise DecisionLogInvalid(f"{file}:{line}: expected {expected}, got {got}")

    return fail


def text_of(entry: dict[str, Any], name: str, fail: Fail) -> str:
    """The value of a field that must hold text."""
    value = entry[name]
    if not isinstance(value, str) or not value:
        fail(f"text in '{name}'", brief_json(value))
    return value


def whole_of(entry: dict[str, Any], name: str, bound: int, fail: Fail) -> int:
    """The value of a field that must hold a whole number from 1 on, below `bound`."""
    value = entry[name]
    if type(value) is not int or not 0 < value < bound:
        fail(f"a whole number from 1 on in '{name}'", brief_json(value))
    return value


def _single_of(entry: dict[str, Any], name: str, fail: Fail) -> int:
    """The value of a field of a crossing policy."""
    if name.endswith("class_cap") and entry[name] == OFF:
        return CAP_OFF
    return whole_of(entry, name, CAP_OFF, fail)


class Draft:
    """Collects the records of a chunk: one list for each field, over all requests."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.count = 0
        self._rows: list[int] = []
        self._origins: list[Origin] = []
        self._terms: list[tuple[int, ...]] = []
        self._lists: dict[str, list[Any]] = {name: [] for name in (*_LISTS, *_OPTIONAL)}

    def add(self, entry: dict[str, Any], rows: int, origin: Origin, fail: Fail) -> None:
        """Add a record of `rows` queries."""
        is_grouped = origin.group >= 0
        own = [_single_of(entry, name, fail) for name in SINGLE if not name.startswith("group_")]
        of_group = [
            _single_of(entry, name, fail) if is_grouped else 0
            for name in SINGLE
            if name.startswith("group_")
        ]
        scope, exempt = SCOPES.get(text_of(entry, "scope", fail)), entry["exempt"]
        if scope is None or not isinstance(exempt, bool):
            names = ", ".join(SCOPES)
            fail(f"one of {names} in 'scope' and a truth value in 'exempt'", "another value")
        charge = CHARGES.get(text_of(entry, "charge", fail))
        if charge is None:
            fail(f"one of {', '.join(CHARGES)} in 'charge'", "another value")
        is_observed = any(name in entry for name in _OBSERVED_LISTS)
        present = _lists_of(is_grouped, is_observed)
        if scope is Scope.REPEATED:
            present = (*present, REPEATED)
        for name in present:
            values = entry[name]
            if not isinstance(values, list) or len(values) != rows:
                fail(f"a list of {rows} in '{name}'", brief_json(values))
            self._lists[name] += values
        nothing = [0] * rows
        for name in _OPTIONAL:
            if name not in present:
                self._lists[name] += nothing
        self._terms.append((*own, *of_group, scope, exempt, charge, is_observed))
        self._rows.append(rows)
        self._origins.append(origin)
        self.count += rows

    def close(self, files: Sequence[str]) -> Chunk:
        """The chunk as arrays; DecisionLogInvalid, with the line, for a value of a wrong kind."""
        self._files = files
        request = np.repeat(np.arange(len(self._rows)), self._rows)
        starts = np.cumsum([0, *self._rows[:-1]])
        origins = np.array([origin[:-1] for origin in self._origins], np.int64)
        terms = np.array(self._terms, np.int64)[request]
        columns: dict[str, NDArray[Any]] = {name: self._real(name) for name in _REAL}
        columns |= {name: self._whole(name, most) for name, most in _WHOLE.items()}
        columns |= dict(zip((*SINGLE, *_TERMS), terms.T, strict=True))
        return Chunk(
            files=origins[:, 0],
            lines=origins[:, 1],
            moments=[origin.moment for origin in self._origins],
            request=request,
            row=np.arange(self.count) - starts[request],
            accounts=origins[:, 2],
            groups=origins[:, 3],
            labels=self._whole("class", self.num_classes - 1).astype(np.int64),
            verdicts=self._named("verdict"),
            causes=self._named("cause"),
            sqs=columns["sqs"],
            facts=facts_from(columns, self.count),
        )

    def _real(self, name: str) -> NDArray[np.float64]:
        values = self._lists[name]
        if not all(map(_is_finite, values)):
            self._blame(name, "finite numbers", _is_finite)
        return np.array(values, np.float64)

    def _whole(self, name: str, most: int) -> NDArray[np.uint64]:
        values = self._lists[name]
        if set(map(type, values)) != {int} or min(values) < 0 or max(values) > most:
            expected = f"whole numbers from 0 to {most}"
            self._blame(name, expected, lambda value: type(value) is int and 0 <= value <= most)
        return np.array(values, np.uint64)

    def _named(self, name: str) -> NDArray[np.uint8]:
        known, values = _NAMES[name], self._lists[name]
        if not set(map(type, values)) <= {str} or not set(values) <= known.keys():
            expected = f"names among {', '.join(filter(None, known))}"
            self._blame(name, expected, lambda value: isinstance(value, str) and value in known)
        return np.array([known[value] for value in values], np.uint8)

    def _blame(self, name: str, expected: str, is_right: Callable[[Any], Any]) -> NoReturn:
        wrong = next(row for row, value in enumerate(self._lists[name]) if not is_right(value))
        request = int(np.searchsorted(np.cumsum(self._rows), wrong, side="right"))
        origin = self._origins[request]
        failing(self._files[origin.file], origin.line)(
            f"{expected} in '{name}'", brief_json(self._lists[name][wrong])
        )


@cache
def _lists_of(is_grouped: bool, is_observed: bool) -> tuple[str, ...]:
    """The lists that a record must have."""
    groups = _GROUP_LISTS if is_grouped else ()
    observed = _OBSERVED_LISTS if is_observed else ()
    both = _OBSERVED_GROUP_LISTS if is_grouped and is_observed else ()
    return (*_LISTS, *groups, *observed, *both)


def _is_finite(value: Any) -> bool:
    # A whole number may be too large for a float.
    return type(value) in {int, float} and -_LARGEST <= value <= _LARGEST


def brief_json(value: Any) -> str:
    """A value of a record in few letters, all of them printable."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
