"""Checks the claims that owners are over their budgets, by the records in the log.

Over follows from the records of all classes of an owner and from its policy. A log need not hold
all of them, and replicas decide on a view that can be behind, which makes a claim too mild. So
a claim is a contradiction only where no order of the records in the log can explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import CrossingPolicy, PolicyThresholds
from queen.method.facts import GROUP_SHIFT, POLICIES, Fact
from queen.method.geometry import FloatArray
from queen.replay.chain import Chains
from queen.replay.chunks import Chunk
from queen.replay.policies import RowLimits, StatedPolicies, caps_of
from queen.replay.report import Contradiction, ReplayReport

_SLACK = 1e-12
"""Relative: the thresholds of another machine may differ in the last bits."""
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Sightings:
    """S claims: `keys` (S, 6) are ledger and policy, `before` (S,) the cqs that the query met."""

    keys: IntArray
    before: FloatArray
    origins: IntArray

    def select(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> _Sightings:
        """The `chosen` sightings, in that order."""
        return _Sightings(self.keys[chosen], self.before[chosen], self.origins[chosen])

    def lowest(self) -> _Sightings:
        """The sighting of each key with the lowest cqs."""
        ordered = self.select(np.lexsort((self.before, *self.keys.T[::-1])))
        is_first = np.r_[True, (ordered.keys[1:] != ordered.keys[:-1]).any(axis=1)]
        return ordered.select(is_first[: len(self.before)])


class OverCheck:
    """Collects the claims of all chunks, and checks them at the end."""

    def __init__(self, policies: StatedPolicies, report: ReplayReport) -> None:
        self._policies = policies
        self._report = report
        self._claimed: list[_Sightings] = []

    def add(self, chunk: Chunk) -> None:
        """Keep the claims of a chunk, and count those that the request itself refutes."""
        for kind, (owners, prefix) in enumerate(((chunk.accounts, ""), (chunk.groups, "group_"))):
            rows = np.flatnonzero(owners[chunk.request] >= 0)
            if not len(rows):
                continue
            limits = self._policies.limits(chunk, prefix)
            facts = chunk.facts[rows]
            is_said = (facts["bits"] >> (GROUP_SHIFT * kind)) & Fact.OVER > 0
            known = _known_over(chunk, rows, prefix, limits.select(rows))
            self._report.stale += int((known & ~is_said).sum())
            if is_said.any():
                sightings = _sightings(chunk, rows[is_said], 4 * owners, kind, prefix)
                self._claimed.append(sightings.lowest())

    def close(self, chains: Chains) -> None:
        """Count the claims that the records do not make, and report contradictions."""
        if not self._claimed:
            return
        claimed = _Sightings(
            *(
                np.concatenate([getattr(part, name) for part in self._claimed])
                for name in ("keys", "before", "origins")
            )
        ).lowest()
        owners = _owners_of(chains)
        for at, key in enumerate(claimed.keys.tolist()):
            owner, label, generation, *stated = key
            table = self._policies.known(CrossingPolicy(*stated))
            levels, is_whole = _levels_of(owners[owner, generation], table)
            levels[label] = claimed.before[at]
            if _may_be_over(levels, table):
                continue
            if is_whole:
                self._report.unfounded += 1
                self._report.add(self._contradiction(claimed.origins[at].tolist()))
            else:
                self._report.unshown += 1

    def _contradiction(self, origin: Sequence[int]) -> Contradiction:
        file, line, row = origin
        expected = "0, since no records of the owner in this log put it over"
        return Contradiction(self._report.files[file], line, row, "over", expected, "1")


_Levels = list[tuple[int, float, bool]]
"""Class, final cqs and wholeness of the ledgers of an owner in a generation."""


def _owners_of(chains: Chains) -> Mapping[tuple[int, int], _Levels]:
    owners: dict[tuple[int, int], _Levels] = {}
    ends = zip(
        chains.ledgers.tolist(), chains.finals.tolist(), chains.is_whole.tolist(), strict=True
    )
    for (owner, label, generation), final, is_whole in ends:
        owners.setdefault((owner, generation), []).append((label, final, is_whole))
    return owners


def _levels_of(held: _Levels, table: PolicyThresholds) -> tuple[FloatArray, bool]:
    """Cqs of every class at the end of the log, (C,), and whether the log shows all of them."""
    levels = np.zeros(len(table.thresholds))
    for label, final, _ in held:
        levels[label] = final
    return levels, len(held) == len(levels) and all(is_whole for *_, is_whole in held)


def _may_be_over(levels: FloatArray, table: PolicyThresholds) -> bool:
    """Whether cqs of (C,) put an owner over, with the slack in favor of the log."""
    crossed = np.count_nonzero(levels > table.thresholds * (1 - _SLACK))
    return bool(crossed >= table.needed or (levels > caps_of(table) * (1 - _SLACK)).any())


def _sightings(
    chunk: Chunk, rows: IntArray, owners: IntArray, kind: int, prefix: str
) -> _Sightings:
    facts, request = chunk.facts[rows], chunk.request[rows]
    stated = [facts[f"{prefix}{name}"].astype(np.int64) for name in POLICIES.names or ()]
    generations = facts[f"{prefix}generations"].astype(np.int64)
    ledgers = (owners[request] + kind, chunk.labels[rows], generations)
    return _Sightings(
        np.column_stack([*ledgers, *stated]),
        facts[f"{prefix}cqs_before"],
        np.column_stack([chunk.files[request], chunk.lines[request], chunk.row[rows]]),
    )


def _known_over(chunk: Chunk, rows: IntArray, prefix: str, limits: RowLimits) -> NDArray[np.bool_]:
    """Whether earlier queries of the same request had put the owner over, (R,).

    With the query's own ledger; the slack is in favor of the log.
    """
    facts, request = chunk.facts[rows], chunk.request[rows]
    before, after = facts[f"{prefix}cqs_before"], facts[f"{prefix}cqs_after"]
    thresholds, caps = limits.thresholds * (1 + _SLACK), limits.caps * (1 + _SLACK)
    _, ledger = np.unique(
        np.column_stack([request, chunk.labels[rows]]), axis=0, return_inverse=True
    )
    ledger = ledger.reshape(-1)
    crossing = np.flatnonzero(after > thresholds)
    first = np.full(ledger.max() + 1, len(rows))
    np.minimum.at(first, ledger[crossing], crossing)
    is_new = np.zeros(len(rows), np.int64)
    is_new[first[first < len(rows)]] = 1
    crossed = _sum_before(is_new, request)
    crossed += (before > thresholds) & (first[ledger] >= np.arange(len(rows)))
    is_capped = _sum_before((after > caps).astype(np.int64), request) > 0
    known: NDArray[np.bool_] = (crossed >= limits.needed) | is_capped | (before > caps)
    return known


def _sum_before(values: IntArray, request: IntArray) -> IntArray:
    """The sum over earlier rows of the same request, (R,); requests are in order."""
    total = np.cumsum(values) - values
    is_first = np.r_[True, request[1:] != request[:-1]]
    start = np.maximum.accumulate(np.where(is_first, total, 0))
    difference: IntArray = total - start
    return difference
