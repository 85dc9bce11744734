"""Counts and judges the answers and the ledgers of a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.chaos.checks.ledgers import (
    Ledgers,
    bare,
    misread,
    misreported,
    missing,
    problems_of,
    uncovered,
)
from tests.chaos.checks.report import Tally
from tests.chaos.load import Acknowledged, Told
from tests.chaos.queries import Questions

SLACK_SECONDS = 1.0
"""Delay that the machine's scheduler may add to a deadline."""


def count_answers(tally: Tally, told: Told) -> None:
    """Sort the answers by their kind; the hasty account's are counted apart."""
    kinds = Counter(answer.kind for answer in told.answers if not answer.is_hasty)
    hasty = Counter(answer.kind for answer in told.answers if answer.is_hasty)
    tally.requests = len(told.answers)
    tally.verdict, tally.protect = kinds.pop("verdict", 0), kinds.pop("protect", 0)
    tally.clean = kinds.pop("clean", 0) + hasty.pop("clean", 0)
    tally.hasty_late = hasty.pop("DEADLINE_EXCEEDED", 0)
    for answered in ("verdict", "protect"):
        hasty.pop(answered, None)
    tally.errors = dict(kinds + hasty)
    tally.details = sorted(
        {answer.detail for answer in told.answers if answer.kind in tally.errors}
    )[:5]
    tally.assess_errors = dict(Counter(told.assess_errors))
    tally.over_deadline_seconds = max(
        (answer.seconds - answer.deadline_seconds for answer in told.answers), default=0.0
    )


def judge_answers(tally: Tally, allowed: frozenset[str], recovery_seconds: float) -> None:
    """Add the faults of the answers to the problems; `allowed` are codes of errors."""
    problems = tally.problems
    if tally.clean:
        problems.append(f"{tally.clean} answers were clean")
    if set(tally.errors) - allowed:
        problems.append(
            f"requests ended with {sorted(set(tally.errors) - allowed)}: {tally.details}"
        )
    if tally.over_deadline_seconds > SLACK_SECONDS:
        problems.append(f"an answer came {tally.over_deadline_seconds:.2f} s too late")
    if tally.recovery_seconds > recovery_seconds:
        problems.append(f"no verdicts {tally.recovery_seconds:.1f} s after the fault")
    if not tally.verdict:
        problems.append("nothing was answered on a verdict")


def judge_ledgers(
    tally: Tally,
    ledgers: Ledgers,
    told: Told,
    trusted: Sequence[Acknowledged],
    admin: str,
    questions: Questions,
) -> None:
    """Add the faults of the ledgers to the losses.

    `trusted` are the records whose reported cqs must be that of the list up to them; a list
    that was set back and repaired may have another order.
    """
    geometry, losses = questions.geometry, tally.losses
    absent = missing(ledgers, told.records)
    # A record that came while the store was set back may cover a lost one, which then
    # cannot be put back; nothing else excuses an absence.
    tally.lost = len(bare(ledgers, absent, geometry) if tally.set_back else absent)
    tally.uncovered = uncovered(ledgers, told.answers, geometry, "spent")
    if tally.lost:
        losses.append(f"{tally.lost} acknowledged records are lost")
    if tally.uncovered:
        losses.append(f"{tally.uncovered} queries with a verdict are not covered")
    losses += problems_of(ledgers, geometry)
    wrong = misreported(ledgers, trusted, geometry) + misread(ledgers, admin, geometry)
    if wrong:
        losses.append(f"cqs was {wrong} times not that of the export")
