"""The counts of the scenarios: a line while they run, a table and a file at the end."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

COLUMNS = (
    *("requests", "verdict", "protect", "acknowledged", "set_back", "regressed", "repaired"),
    *("lost", "hasty_late", "recovery_seconds", "over_deadline_seconds"),
)


@dataclass
class Tally:
    """The counts of one scenario.

    Of `set_back` acknowledged records that a failover or a restore removed, `repaired` are there
    again, or covered by newer ones; `lost` are missing at the end, and so are records that
    should cover `uncovered` queries. `over_deadline_seconds` is the worst latency less its
    deadline, `recovery_seconds` is from the end of the last fault to the last answer without a
    verdict. `hasty_late` counts requests of the account whose deadline is shorter than a verdict
    may need, so that they can end before they are answered.
    """

    scenario: str
    seed: int
    requests: int = 0
    verdict: int = 0
    protect: int = 0
    clean: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    """Messages of some of those errors."""
    hasty_late: int = 0
    assess_errors: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    lost: int = 0
    uncovered: int = 0
    set_back: int = 0
    regressed: int = 0
    repaired: int = 0
    liveness_polls: int = 0
    liveness_failures: int = 0
    recovery_seconds: float = 0.0
    over_deadline_seconds: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """The tally as a line of text."""
        return (
            f"{self.requests} requests, {self.verdict} verdicts, {self.protect} protect, "
            f"errors {_counts(self.errors)}, {self.acknowledged} records acknowledged, "
            f"{self.set_back} set back, {self.regressed} regressed, {self.lost} lost, "
            f"back after {self.recovery_seconds:.1f} s, {self.seconds:.0f} s in all"
        )


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"chaos: {text}\n")
    sys.stdout.flush()


def table(tallies: Sequence[Tally]) -> str:
    """A table with a line for each scenario."""
    rows = [["scenario", *COLUMNS, "errors"]]
    for tally in tallies:
        counts = [getattr(tally, name) for name in COLUMNS]
        texts = [f"{count:.2f}" if isinstance(count, float) else str(count) for count in counts]
        rows.append([tally.scenario, *texts, _counts(tally.errors)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if index else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def write(file: Path, tallies: Sequence[Tally]) -> None:
    """The counts as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(tally) for tally in tallies], indent=1) + "\n")


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in Counter(counts).most_common()) or "-"
