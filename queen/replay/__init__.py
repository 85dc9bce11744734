"""Replay: computes the verdicts of a decision log again, from the facts in its records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from queen.bundle import Bundle
from queen.errors import DecisionLogInvalid
from queen.replay.chain import Chain
from queen.replay.lines import LogReader
from queen.replay.over import OverCheck
from queen.replay.policies import StatedPolicies
from queen.replay.report import Contradiction, ReplayReport
from queen.replay.verdicts import VerdictCheck

__all__ = ["Contradiction", "ReplayReport", "replay"]


def replay(
    logs: Sequence[Path],
    bundle: Bundle,
    *,
    skip_other_bundles: bool = False,
    progress: Callable[[int], None] = lambda _rows: None,
) -> ReplayReport:
    """Check every decision of `logs`, in any order, against the bundle that they were made with.

    Verdict, cause, sqs and cqs after a query must follow from the facts in its record, no two
    records of a ledger may contradict each other, and an owner that is said to be over must be so
    by its records, where the log holds all of them. `progress` is called with the number of
    queries of each chunk. Raises DecisionLogInvalid, with file and line, for a log that is no
    decision log of this bundle, and OSError for a file that cannot be read.
    """
    report = ReplayReport(bundle.digest)
    reader = LogReader(bundle, report, skip_other_bundles=skip_other_bundles)
    policies = StatedPolicies(bundle, report)
    check, over, chain = (
        VerdictCheck(bundle, policies, report),
        OverCheck(policies, report),
        Chain(report),
    )
    for chunk in reader.chunks(logs):
        check.add(chunk)
        over.add(chunk)
        chain.add(chunk)
        progress(len(chunk))
    over.close(chain.close())
    if not report.requests and not report.unassessed_rows:
        raise DecisionLogInvalid(
            f"{', '.join(map(str, logs))}: expected decision records, got none; "
            "the front door writes them with --decision-log all"
        )
    return report
