"""The rows of a sweep as a table: a line for each policy, thieves beside honest accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from queen.redteam.report.markdown import percent, table
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import OverSeeds, over_seeds


@dataclass(frozen=True)
class Worst:
    """The best copy that any thief with that many accounts makes.

    `copy` is over seeds, of the thief with the largest mean; `clean` their clean answers, a mean.
    """

    thief: str
    copy: OverSeeds
    clean: float


@dataclass(frozen=True)
class Patience:
    """The answers that honest accounts of a kind get before they are over.

    `earliest` is the 0.1 % quantile, the least of all seeds, and `median` a mean over seeds; None
    for never. `over` is the share of accounts that are over within their queries.
    """

    earliest: int | None
    median: float | None
    over: float


@dataclass(frozen=True)
class Summary:
    """A policy of the sweep: the worst copies by number of accounts, and each kind's patience."""

    breadth: int
    class_cap: int | None
    worst: dict[int, Worst]
    kinds: dict[str, Patience]

    @property
    def title(self) -> str:
        """The policy in a few words."""
        if self.breadth == 1:
            return "1 class (as published)"
        cap = "no cap" if self.class_cap is None else f"cap {self.class_cap}"
        return f"{self.breadth} classes, {cap}"


def summaries(rows: Sequence[Row]) -> list[Summary]:
    """A summary of each policy, from the broadest promise to a thief to the narrowest."""
    policies = dict.fromkeys((row["breadth"], row["class_cap"]) for row in rows)
    ordered = sorted(policies, key=lambda policy: (policy[0], policy[1] or float("inf")))
    return [
        _summary(policy, [row for row in rows if (row["breadth"], row["class_cap"]) == policy])
        for policy in ordered
    ]


def _summary(policy: tuple[int, int | None], rows: Sequence[Row]) -> Summary:
    thieves = [row for row in rows if row.get("copy") is not None]
    counts = dict.fromkeys(row["accounts"] for row in thieves)
    kinds = dict.fromkeys(row["kind"] for row in rows if "kind" in row)
    return Summary(
        *policy,
        {count: _worst([row for row in thieves if row["accounts"] == count]) for count in counts},
        {kind: _patience([row for row in rows if row.get("kind") == kind]) for kind in kinds},
    )


def _worst(rows: Sequence[Row]) -> Worst:
    by_thief: dict[str, list[Row]] = {}
    for row in rows:
        by_thief.setdefault(row["thief"], []).append(row)
    thief = max(by_thief, key=lambda name: mean(row["copy"] for row in by_thief[name]))
    copy = over_seeds(row["copy"] for row in by_thief[thief])
    if copy is None:
        raise ValueError("expected at least 1 row, got 0")
    return Worst(thief, copy, mean(row["clean"] for row in by_thief[thief]))


def _patience(rows: Sequence[Row]) -> Patience:
    earliest = [row["answers"][0] for row in rows if row["answers"][0] is not None]
    medians = [row["answers"][1] for row in rows]
    known = [median for median in medians if median is not None]
    return Patience(
        min(earliest, default=None),
        mean(known) if len(known) == len(medians) else None,
        mean(row["over"] / row["accounts"] for row in rows),
    )


NOTES = """\
Each line is a crossing policy: an account is over its budget with so many crossed classes, or
with one class at so many budgets. No share of the classes limits the breadth here.

- *worst copy*, with so many accounts without a group: the most accurate copy, in percent, of clean
  answers alone, those before each account is over; nothing later helps more under a profile that
  tells nothing then. The thieves ask evenly, hoard (all classes but the last that would put an
  account over as far as the cap, the others just below a crossing), or split the classes between
  their accounts. They know the labels beforehand and stop exactly at a crossing. In brackets, the
  thief and the clean answers.
- *a kind of traffic*: answers before an honest account is over, 0.1 % quantile and median of 1,000
  accounts that draw from images nobody trained on, by true class; in brackets, how many percent
  of them are over within 10,000 queries.
"""


def summary_table(lines: Sequence[Summary]) -> str:
    """The table in Markdown."""
    counts = list(dict.fromkeys(count for summary in lines for count in summary.worst))
    kinds = list(dict.fromkeys(kind for summary in lines for kind in summary.kinds))
    titles = ["over with", *(f"worst copy, {_accounts(count)}" for count in counts), *kinds]
    cells = [
        [
            summary.title,
            *(_copy_cell(summary.worst.get(count)) for count in counts),
            *(_kind_cell(summary.kinds.get(kind)) for kind in kinds),
        ]
        for summary in lines
    ]
    return table(titles, cells)


def _accounts(count: int) -> str:
    return "1 account" if count == 1 else f"{count} accounts"


def _copy_cell(worst: Worst | None) -> str:
    if worst is None:
        return "-"
    return f"{percent(worst.copy)} ({worst.thief}, {worst.clean:,.0f})"


def _kind_cell(kind: Patience | None) -> str:
    if kind is None:
        return "-"
    earliest = "never" if kind.earliest is None else f"{kind.earliest:,}"
    median = "never" if kind.median is None else f"{kind.median:,.0f}"
    return f"{earliest} / {median} ({100 * kind.over:.0f})"
