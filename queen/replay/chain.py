"""Checks that the records of a ledger follow one another without contradiction.

Every record raises the ledger's cqs from one value to a larger one: a step. So no two steps
begin at the same value, steps do not overlap, and no query sees the ledger amid a step. A
record that the log does not hold leaves a gap between steps, which is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray
from queen.replay.chunks import Chunk
from queen.replay.report import Contradiction, ReplayReport
from queen.replay.verdicts import DOUBLE_ROUNDING, contradiction_at

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Steps:
    """S sightings of ledgers: cqs `before` and `after` (S,) differ where a record was made.

    `ledgers` (S, 3) are owner, class and generation; `origins` (S, 3) file, line and query.
    """

    ledgers: IntArray
    before: FloatArray
    after: FloatArray
    origins: IntArray

    def select(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> _Steps:
        """The `chosen` sightings, in that order."""
        return _Steps(
            self.ledgers[chosen], self.before[chosen], self.after[chosen], self.origins[chosen]
        )


class Chains(NamedTuple):
    """The ledgers of a log at its end."""

    ledgers: IntArray
    """Owner, class and generation of each, (L, 3)."""
    finals: FloatArray
    """Cqs after the last record, (L,)."""
    is_whole: NDArray[np.bool_]
    """Whether the log holds every record of the ledger, (L,)."""


class Chain:
    """Collects the steps of all chunks, and checks them at the end."""

    def __init__(self, report: ReplayReport) -> None:
        self._report = report
        self._parts: list[_Steps] = []

    def add(self, chunk: Chunk) -> None:
        """Keep the steps of a chunk; within a request, cqs may not fall."""
        is_observed = chunk.facts["observed"] > 0
        for kind, (owners, prefix) in enumerate(
            (owners, f"{observed}{prefix}")
            for observed in ("", "observed_")
            for owners, prefix in ((chunk.accounts, ""), (chunk.groups, "group_"))
        ):
            is_charged = owners[chunk.request] >= 0
            rows = np.flatnonzero(is_charged & is_observed if kind > 1 else is_charged)
            if len(rows):
                steps = _steps_of(chunk, rows, 4 * owners[chunk.request[rows]] + kind, prefix)
                self._require_order(chunk, rows, steps, f"{prefix}cqs_before")
                self._parts.append(_distinct(steps))

    def close(self) -> Chains:
        """Count ledgers, records and gaps, report contradictions, and return the ledgers."""
        if not self._parts:
            return Chains(np.zeros((0, 3), np.int64), np.zeros(0), np.zeros(0, np.bool_))
        steps = _distinct(_joined(self._parts))
        report = self._report
        report.records = int((steps.after != steps.before).sum())
        is_same = (steps.ledgers[1:] == steps.ledgers[:-1]).all(axis=1)
        report.ledgers = int((~is_same).sum()) + 1
        gaps, overlaps = find_breaks(is_same, steps.before, steps.after)
        report.gaps = int(gaps.sum())
        broken = np.flatnonzero(overlaps)
        report.broken_chains += len(broken)
        for at in broken[:20].tolist():
            report.add(self._overlap(steps, at))
        first = np.flatnonzero(np.r_[True, ~is_same])
        finals = np.maximum.reduceat(steps.after, first)
        return Chains(steps.ledgers[first], finals, ~np.logical_or.reduceat(gaps, first))

    def _overlap(self, steps: _Steps, at: int) -> Contradiction:
        (file, line, row), (other_file, other_line, other_row) = steps.origins[
            [at, at - 1]
        ].tolist()
        files = self._report.files
        expected = (
            f"at least {steps.after[at - 1]:.17g}, to which {files[other_file]}:{other_line}, "
            f"query {other_row}, raised the ledger from {steps.before[at - 1]:.17g}"
        )
        got = f"{steps.before[at]:.17g}"
        return Contradiction(files[file], line, row, "cqs_before in the chain", expected, got)

    def _require_order(
        self, chunk: Chunk, rows: NDArray[np.int64], steps: _Steps, what: str
    ) -> None:
        """Require that cqs never falls from a query to the next query of the same request."""
        request = chunk.request[rows]
        order = np.lexsort((rows, *steps.ledgers.T, request))
        before, after = steps.before[order], steps.after[order]
        names = np.column_stack([steps.ledgers, request])[order]
        is_same = (names[1:] == names[:-1]).all(axis=1)
        falls = np.flatnonzero(is_same & (before[1:] < after[:-1] * (1 - DOUBLE_ROUNDING)))
        self._report.broken_chains += len(falls)
        for at in falls[:20].tolist():
            expected, got = f"at least {float(after[at]):.17g}", f"{float(before[at + 1]):.17g}"
            row = int(rows[order[at + 1]])
            self._report.add(contradiction_at(chunk, row, self._report, what, expected, got))


def find_breaks(
    is_same: NDArray[np.bool_], before: FloatArray, after: FloatArray
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether records are missing before each of S steps, and whether it overlaps the last, (S,).

    The steps lie in the order of ledger and cqs; `is_same` (S - 1,) says whether a step is of the
    same ledger as the step before it.
    """
    left = np.r_[0.0, np.where(is_same, after[:-1], 0.0)]
    slack = DOUBLE_ROUNDING * left
    return before > left + slack, np.r_[False, is_same] & (before < left - slack)


def _steps_of(chunk: Chunk, rows: NDArray[np.int64], owners: IntArray, prefix: str) -> _Steps:
    facts, request = chunk.facts[rows], chunk.request[rows]
    generations = facts[f"{prefix}generations"].astype(np.int64)
    return _Steps(
        np.column_stack([owners, chunk.labels[rows], generations]),
        facts[f"{prefix}cqs_before"],
        facts[f"{prefix}cqs_after"],
        np.column_stack([chunk.files[request], chunk.lines[request], chunk.row[rows]]),
    )


def _joined(parts: Sequence[_Steps]) -> _Steps:
    return _Steps(
        np.concatenate([part.ledgers for part in parts]),
        np.concatenate([part.before for part in parts]),
        np.concatenate([part.after for part in parts]),
        np.concatenate([part.origins for part in parts]),
    )


def _distinct(steps: _Steps) -> _Steps:
    """Sightings in the order of ledger and cqs; equal ones that made no record are kept once."""
    ordered = steps.select(np.lexsort((steps.after, steps.before, *steps.ledgers.T[::-1])))
    is_seen = (ordered.ledgers[1:] == ordered.ledgers[:-1]).all(axis=1)
    is_seen &= ordered.before[1:] == ordered.before[:-1]
    is_seen &= ordered.after[1:] == ordered.after[:-1]
    # A record that is there twice must stay, since it is a contradiction.
    is_seen &= ordered.after[1:] == ordered.before[1:]
    return ordered.select(np.r_[True, ~is_seen])
