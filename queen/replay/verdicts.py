"""Computes every verdict again, from the facts of its record and the bundle's regions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.decision_line import cause_name
from queen.method.facts import GROUP_SHIFT, Fact, Observed, observed_cqs, reenact
from queen.method.ledger import Verdict
from queen.replay.chunks import Chunk
from queen.replay.policies import StatedPolicies
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

    def __init__(self, bundle: Bundle, policies: StatedPolicies, report: ReplayReport) -> None:
        self._geometry = bundle.geometry
        self._meter = bundle.meter
        self._policies = policies
        self._report = report

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
        own, grouped = (self._policies.limits(chunk, prefix) for prefix in ("", "group_"))
        again, group_after = reenact(
            self._geometry, facts, chunk.labels, own.thresholds, grouped.thresholds
        )
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
        for what, limits, shift in (("", own, 0), ("group_", grouped, GROUP_SHIFT)):
            is_over = facts[f"{what}cqs_before"] > limits.alone
            is_said = (facts["bits"] >> shift) & Fact.OVER > 0
            yield _Claim(f"{what}over", is_over, is_said, is_over & ~is_said, _bit)

        is_far = self._meter.is_far(facts["distances"], chunk.labels)
        for bit in (Observed.FAR, Observed.GROUP_FAR):
            is_said = facts["observed"] & bit > 0
            what = f"observed_{'group_' * (bit is Observed.GROUP_FAR)}far"
            yield _Claim(what, is_far, is_said, is_said & ~is_far, _bit)

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


def _verdict(code: Any) -> str:
    return Verdict(int(code)).name


def _cause(bits: Any) -> str:
    return cause_name(int(bits)) or "none"


def _number(value: Any) -> str:
    return f"{float(value):.17g}"


def _bit(value: Any) -> str:
    return str(int(value))
