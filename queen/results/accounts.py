"""The sections on honest accounts, and on accounts of a single thief."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from queen.redteam.report.markdown import table
from queen.results.files import Content, bench_rows, read_content

_HONEST = """
## Honest accounts

`queen demo --dataset fashion-mnist && queen bench honest --train build/demo/fashion-mnist.npz`:
simulated accounts of each kind of traffic, which send images that the protectee never saw and
choose them by their true classes.

- *volume*: the published number of queries within the budget, which `queen fit` prints.
- *harmed*: accounts with a query that was reversed or refused; *before* that volume, and in all.
- *first*: answers before the first such query, 0.1 % quantile and median.
- *flagged*: accounts that the off-distribution meter flagged.
- *right*: right answers after so many queries, in percent, where reversed answers count as wrong;
  *by itself* is the protectee's own share.
"""
_LINKS = """
## Accounts of one thief

`queen demo --dataset fashion-mnist && queen bench links --seed SEED`: how well overlapping coverage
tells pairs of a thief's accounts from pairs of honest accounts. An AUC of 0.5 is chance: accounts
that split a pool into disjoint parts leave no overlap, so an operator has to name the groups.
"""


def honest_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds the rows of a policy, a kind of traffic each."""
    lines = [_HONEST] if files else []
    for file in files:
        rows = read_content(file)["rows"]
        histories = [f"right at {history:,}" for history, _ in rows[0]["right"]]
        titles = ["traffic", "volume", "harmed before", "harmed", "first", "flagged", *histories]
        cells = [_honest_cells(row) for row in rows]
        lines += [_honest_title(rows[0]), "", table([*titles, "by itself"], cells), ""]
    return lines


def _honest_title(row: Content) -> str:
    return (
        f"{row['accounts']:,} accounts of each kind, {row['queries']:,} queries each,\n"
        f"`{row['profile']}`, budget {row['budget']}, breadth {row['breadth']}, class cap "
        f"{row['class_cap']}, seed {row['seed']}."
    )


def _honest_cells(row: Content) -> list[str]:
    earliest, median, _ = row["first_harm"]
    *_, flagged = row["flagged"].values()
    return [
        row["kind"],
        _queries(row["volume"]),
        f"{row['harmed_before_volume']:,}",
        f"{row['harmed']:,}",
        f"{_queries(earliest)} / {_queries(median)}",
        f"{flagged:,}",
        *(f"{100 * right:.1f}" for _, right in row["right"]),
        f"{100 * row['right_undefended']:.1f}",
    ]


def _queries(count: int | None) -> str:
    return "never" if count is None else f"{count:,}"


def links_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds the rows of a seed, and a line all seeds."""
    splits: dict[str, list[Content]] = {}
    for row in bench_rows(files):
        splits.setdefault(row["split"], []).append(row)
    cells = [
        [
            split,
            f"{rows[0]['accounts']} x {rows[0]['queries_each']}",
            str(len(rows)),
            " - ".join(
                dict.fromkeys(f"{end(row['auc'] for row in rows):.3f}" for end in (min, max))
            ),
            f"{100 * mean(row['linked'] for row in rows):.1f}",
            f"{100 * mean(row['false_links'] for row in rows):.1f}",
        ]
        for split, rows in splits.items()
    ]
    titles = ["the thief's accounts ask", "accounts", "seeds", "AUC", "linked, %", "false links, %"]
    return [_LINKS, table(titles, cells), ""] if cells else []
