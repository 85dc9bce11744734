"""Computes every verdict again, from the facts of its record and the bundle's regions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.decision_line import cause_name
from queen.errors import ConfigError, DecisionLogInvalid
from queen.method.crossing import UNSTATED, CrossingPolicy, PolicyThresholds, policy_thresholds
from queen.method.facts import GROUP_SHIFT, POLICIES, Fact, observed_cqs, reenact
from queen.method.geometry import FloatArray
from queen.method.ledger import Verdict
from queen.replay.chunks import Chunk
from queen.replay.report import MOST_SHOWN, Contradiction, ReplayReport

SINGLE_ROUNDING = 2.0**-22
"""Relative rounding of sqs, which is logged as float32."""
DOUBLE_ROUNDING = 1e-14
"""Relative rounding of cqs: the erfc of another machine may differ in the last bits."""
_SMALLEST_SINGLE = 1e-38


@dataclass(frozen=True, eq=False)
class _Claim:
    """A field of the log: expected values, logged values, and where they differ, (B,) each."""

    what: str
    expected: NDArray[Any]
    got: NDArray[Any]
    differs: NDArray[np.bool_]
    show: Callable[[Any], str] = repr


class VerdictCheck:
    """Compares chunks with what follows from their facts, and counts into `report`."""

    def __init__(self, bundle: Bundle, report: ReplayReport) -> None:
        self._geometry = bundle.geometry
        self._mean_squared_sqs = bundle.mean_squared_sqs
        self._report = report
        never = np.full(bundle.manifest.num_classes, np.inf)
        # A query without a group states no policy for one.
        nothing = PolicyThresholds(0, never, None, bundle.manifest.num_classes)
        self._tables: dict[CrossingPolicy, PolicyThresholds] = {UNSTATED: nothing}

    def add(self, chunk: Chunk) -> None:
        """Check a chunk's queries; DecisionLogInvalid for a policy too large for this bundle."""
        is_wrong = np.zeros(len(chunk), np.bool_)
        for claim in self._claims(chunk):
            is_wrong |= claim.differs
            for at in np.flatnonzero(claim.differs)[:MOST_SHOWN].tolist():
                expected, got = claim.show(claim.expected[at]), claim.show(claim.got[at])
                self._report.add(
                    contradiction_at(chunk, at, self._report, claim.what, expected, got)
                )
        wrong = int(is_wrong.sum())
        self._report.contradicting += wrong
        self._report.reproduced += len(chunk) - wrong
        self._count(chunk)

    def _claims(self, chunk: Chunk) -> Iterator[_Claim]:
        facts = chunk.facts
        own, own_alone = self._limits(chunk, "")
        grouped, grouped_alone = self._limits(chunk, "group_")
        again, group_after = reenact(self._geometry, facts, chunk.labels, own, grouped)
        differs = again.verdicts != chunk.verdicts
        yield _Claim("verdict", again.verdicts, chunk.verdicts, differs, _verdict)
        differs = again.causes != chunk.causes
        yield _Claim("cause", again.causes, chunk.causes, differs, _cause)
        near = np.isclose(chunk.sqs, again.sqs, SINGLE_ROUNDING, _SMALLEST_SINGLE)
        yield _Claim("sqs", again.sqs, chunk.sqs, ~near, _number)
        observed, observed_group = observed_cqs(self._geometry, facts, chunk.labels)
        for what, expected in (
            ("cqs_after", again.cqs_after),
            ("group_cqs_after", group_after),
            ("observed_cqs_after", observed),
            ("observed_group_cqs_after", observed_group),
        ):
            near = np.isclose(facts[what], expected, DOUBLE_ROUNDING, 0.0)
            yield _Claim(what, expected, facts[what], ~near, _number)
        for what, alone, shift in (("", own_alone, 0), ("group_", grouped_alone, GROUP_SHIFT)):
            is_over = facts[f"{what}cqs_before"] > alone
            is_said = (facts["bits"] >> shift) & Fact.OVER > 0
            yield _Claim(f"{what}over", is_over, is_said, is_over & ~is_said, _bit)

    def _limits(self, chunk: Chunk, prefix: str) -> tuple[FloatArray, FloatArray]:
        """T of each row's ledger, and the cqs above which it alone puts its owner over, (B,)."""
        policies = np.empty(len(chunk), POLICIES)
        for name in POLICIES.names or ():
            policies[name] = chunk.facts[f"{prefix}{name}"]
        distinct, first, index = np.unique(policies, return_index=True, return_inverse=True)
        pairs = zip(distinct.tolist(), first.tolist(), strict=True)
        tables = [self._table(chunk, CrossingPolicy(*policy), row) for policy, row in pairs]
        thresholds = np.stack([table.thresholds for table in tables])[index, chunk.labels]
        alone = np.stack([_alone(table) for table in tables])[index, chunk.labels]
        return thresholds, alone

    def _table(self, chunk: Chunk, policy: CrossingPolicy, row: int) -> PolicyThresholds:
        """The thresholds of a policy that the query `row` states."""
        if policy not in self._tables:
            try:
                table = policy_thresholds(self._geometry, self._mean_squared_sqs, policy)
            except ConfigError as error:
                request = chunk.request[row]
                file = self._report.files[chunk.files[request]]
                raise DecisionLogInvalid(f"{file}:{chunk.lines[request]}: {error}") from error
            self._tables[policy] = table
        return self._tables[policy]

    def _count(self, chunk: Chunk) -> None:
        for verdict, count in enumerate(np.bincount(chunk.verdicts, minlength=4).tolist()):
            if verdict:
                self._report.verdicts[Verdict(verdict).name] += count
        for bits, count in enumerate(np.bincount(chunk.causes, minlength=8).tolist()):
            if bits and count:
                self._report.causes[cause_name(bits)] += count


def contradiction_at(
    chunk: Chunk, at: int, report: ReplayReport, what: str, expected: str, got: str
) -> Contradiction:
    """A contradiction in the query `at` of a chunk."""
    request = int(chunk.request[at])
    file = report.files[int(chunk.files[request])]
    row = int(chunk.row[at])
    return Contradiction(file, int(chunk.lines[request]), row, what, expected, got)


def _alone(table: PolicyThresholds) -> FloatArray:
    """The cqs above which a class alone puts its owner over, (C,); infinite if none does."""
    if table.needed == 1:
        return table.thresholds
    return np.full_like(table.thresholds, np.inf) if table.caps is None else table.caps


def _verdict(code: Any) -> str:
    return Verdict(int(code)).name


def _cause(bits: Any) -> str:
    return cause_name(int(bits)) or "none"


def _number(value: Any) -> str:
    return f"{float(value):.17g}"


def _bit(value: Any) -> str:
    return str(int(value))
