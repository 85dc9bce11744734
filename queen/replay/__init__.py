"""Replay: the verdicts of a decision log, computed again from the facts in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from queen.bundle import Bundle
from queen.errors import DecisionLogInvalid
from queen.replay.chain import Chain
from queen.replay.lines import LogReader
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

    Verdict, cause, sqs and cqs after each query must follow from the facts that its record
    states, and the records of each ledger from one another. `progress` is told the rows of
    each part. Raises DecisionLogInvalid, with file and line, for what is no decision log of
    this bundle, and OSError for a file that cannot be read.
    """
    report = ReplayReport(bundle.digest)
    reader = LogReader(bundle, report, skip_other_bundles=skip_other_bundles)
    check, chain = VerdictCheck(bundle, report), Chain(report)
    for chunk in reader.chunks(logs):
        check.take(chunk)
        chain.take(chunk)
        progress(len(chunk))
    chain.close()
    if not report.requests and not report.unassessed_rows:
        raise DecisionLogInvalid(
            f"{', '.join(map(str, logs))}: expected decision records, got none; "
            "the front door writes them with --decision-log all"
        )
    return report
