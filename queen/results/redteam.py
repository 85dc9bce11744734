"""The section on the red team."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from queen.redteam.plans import PLANS
from queen.redteam.report.leaks import read_leaks
from queen.redteam.report.markdown import NOTES, render_standings, table
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import standings
from queen.results.files import learned_rows

_TEXT = f"""## The red team

Every copy beside what honest accounts pay; [redteam.md](redteam.md) explains the attacks.

{NOTES}"""
_PLANS = {"digits": "smoke", "fashion-mnist": "full", "cifar10": "cifar10"}
"""The plan that gave the rows of a data set."""
_LINE_LENGTH = 100


def redteam_section(files: list[Path]) -> list[str]:
    """The section, if there are rows; each file is of a data set."""
    lines = []
    for file in files:
        dataset, rows = file.stem.removeprefix("redteam-"), learned_rows(file)
        plan = _PLANS.get(dataset)
        command = f"--{plan}" if plan else f"--full --dataset {dataset}"
        if rows:
            lines += [f"### {dataset}: `queen redteam {command}`\n"]
            leaks = read_leaks(file.with_name(f"leak-{dataset}.json"))
            lines += render_standings(standings(rows), leaks, "####")
            lines += _left_out(plan, rows) if plan else []
    return [_TEXT, *lines] if lines else []


def _left_out(plan_name: str, rows: Sequence[Row]) -> list[str]:
    """The parts of a plan of which cells are missing, and the text on what it leaves out."""
    plan, measured = PLANS[plan_name](), {row["cell"] for row in rows}
    parts = [
        *((part.title, list(plan.cells_of(part))) for part in plan.parts),
        ("other seeds and ensembles of the contenders", plan.further_cells(rows)),
    ]
    counts = [
        (title, sum(cell.name in measured for cell in cells), cells) for title, cells in parts
    ]
    lines = [
        [title, str(count), str(len(cells))] for title, count, cells in counts if count < len(cells)
    ]
    titles = ["part of the plan that is not whole, in order of worth", "measured", "cells"]
    missing = [table(titles, lines), ""] if lines else []
    return ["#### Left out\n", *missing, _wrapped(plan.left_out_of(rows)), ""]


def _wrapped(text: str) -> str:
    """A paragraph in lines that fit a diff."""
    return fill(text, _LINE_LENGTH, break_long_words=False, break_on_hyphens=False)
