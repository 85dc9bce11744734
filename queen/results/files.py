"""The files in docs/results, and the words that several sections share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from queen.redteam.learner import LEARNER
from queen.redteam.plans import PLANS
from queen.redteam.report.rows import Row, read_rows

Content = dict[str, Any]


def read_content(path: Path) -> Content:
    """The object in a JSON file."""
    content: Content = json.loads(path.read_text())
    return content


def bench_rows(files: list[Path]) -> list[Content]:
    """The rows in JSON files of the benches, all files together."""
    return [row for file in files for row in read_content(file)["rows"]]


def learned_rows(path: Path) -> list[Row]:
    """The rows of a JSON list whose copies the present learner made; none without the file.

    Rows of another learner are not comparable, and no page tells of them.
    """
    if not path.is_file():
        return []
    return [row for row in json.loads(path.read_text()) if row.get("learner") == LEARNER]


def red_team_file(folder: Path, dataset: str) -> Path:
    """The file of the red team's rows of a data set."""
    return folder / f"redteam-{dataset}.json"


def adopt(rows_file: Path, folder: Path) -> dict[str, int]:
    """Add the rows of a run of `queen redteam` to the files in `folder`, a file for each data set.

    `rows_file` is its report.json or rows.jsonl. A row replaces that of its cell; rows stand in the
    order of the plan, a line each. Rows of another learner go. Returns the numbers of rows that the
    files now hold. Raises ConfigError for any other file.
    """
    new = [row for row in read_rows(rows_file) if row.get("learner") == LEARNER]
    counts = {}
    for dataset in sorted({row["dataset"] for row in new}):
        path = red_team_file(folder, dataset)
        of_dataset = [row for row in new if row["dataset"] == dataset]
        rows = _in_order(dataset, [*learned_rows(path), *of_dataset])
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
        path.write_text(f"[\n{lines}\n]\n")
        counts[path.name] = len(rows)
    return counts


def _in_order(dataset: str, rows: Iterable[Row]) -> list[Row]:
    """The last row of each cell, in the order of the data set's plan; what it lacks at the end."""
    by_cell = {row["cell"]: row for row in rows}
    plans = [plan() for plan in PLANS.values()]
    cells = [cell for plan in plans if plan.dataset == dataset for cell in plan.cells()]
    ranks = {cell.name: rank for rank, cell in enumerate(cells)}
    return sorted(by_cell.values(), key=lambda row: ranks.get(row["cell"], len(ranks)))


def machine_of(bench: Content) -> str:
    """The machine of a bench in a sentence."""
    machine = bench["machine"]
    return f"Machine: {machine['processor']}, {machine['cores']} cores, Python {machine['python']}."
