"""What each scenario counted: a line while it runs, a table and a file at the end."""

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

    Of `set_back` acknowledged records that a failover or a restore took, `repaired` are there
    again, or covered by newer ones; `lost` are missing at the end, and so are records that
    should cover `uncovered` queries. `over_deadline_seconds` is the worst latency less its
    deadline, `recovery_seconds` is from the end of the last fault to the last answer without a
    verdict. `hasty_late` counts the account that has less time than a verdict may take, so
    that its requests can end before they are answered.
    """

    scenario: str
    seed: int
    requests: int = 0
    verdict: int = 0
    protect: int = 0
    clean: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    """What some of those errors said."""
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
        """In a line."""
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
    """One line a scenario."""
    rows = [["scenario", *COLUMNS, "errors"]]
    for tally in tallies:
        numbers = [getattr(tally, name) for name in COLUMNS]
        texts = [f"{one:.2f}" if isinstance(one, float) else str(one) for one in numbers]
        rows.append([tally.scenario, *texts, _counts(tally.errors)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def write(file: Path, tallies: Sequence[Tally]) -> None:
    """The counts as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(tally) for tally in tallies], indent=1) + "\n")


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{name}={number}" for name, number in Counter(counts).most_common()) or "-"
