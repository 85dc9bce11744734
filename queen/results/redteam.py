"""The section on the red team."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from queen.redteam.plans import PLANS
from queen.redteam.report.leaks import read_leaks
from queen.redteam.report.markdown import (
    KIND_NOTES,
    NOTES,
    attack_table,
    kind_table,
    render_standings,
    table,
)
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import standings

_TEXT = f"""
## The red team

Every copy beside the answers of honest accounts; [redteam.md](redteam.md) explains the attacks.

{NOTES}"""
_PLANS = {"digits": "smoke", "fashion-mnist": "full", "cifar10": "cifar10"}
"""The plan that gave the rows of a data set."""
_WHOLE = ("full", "cifar10")
"""Plans whose page tells how much of them was measured."""
_LINE_LENGTH = 100
_SHOWN_ATTACKS = 3
"""The attacks on a defense are listed if it met more attacks than this."""


def redteam_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each is the report.json of its command."""
    lines = [_TEXT] if files else []
    for file in files:
        dataset = file.stem.removeprefix("redteam-")
        plan = _PLANS.get(dataset)
        command = f"--{plan}" if plan else f"--full --dataset {dataset}"
        lines += [f"### {dataset}: `queen redteam {command}`\n"]
        rows = json.loads(file.read_text())
        all_standings = standings(rows)
        leaks = read_leaks(file.with_name(f"leak-{dataset}.json"))
        lines += render_standings(all_standings, leaks, "####")
        kinds = kind_table(all_standings)
        lines += ["#### Honest accounts by their traffic\n", KIND_NOTES, kinds, ""]
        main = [standing for standing in all_standings if len(standing.attacks) > _SHOWN_ATTACKS]
        if main:
            lines += ["#### Every attack\n", attack_table(main), ""]
        if plan in _WHOLE:
            lines += _measured_parts(plan, rows)
    return lines


def _measured_parts(plan_name: str, rows: Sequence[Row]) -> list[str]:
    """The number of measured cells in each part of a plan, and the text on the rest."""
    plan, measured = PLANS[plan_name](), {row["cell"] for row in rows}
    parts = [
        *((part.title, list(plan.cells_of(part))) for part in plan.parts),
        ("other seeds and ensembles of the contenders", plan.further_cells(rows)),
    ]
    lines = [
        [title, str(sum(cell.name in measured for cell in cells)), str(len(cells))]
        for title, cells in parts
    ]
    titles = ["part of the plan, in order of worth", "measured", "cells"]
    return [
        "#### The measured parts of the plan\n",
        table(titles, lines),
        "",
        _wrapped(plan.left_out_of(rows)),
        "",
    ]


def _wrapped(text: str) -> str:
    """A paragraph in lines that fit a diff."""
    return fill(text, _LINE_LENGTH, break_long_words=False, break_on_hyphens=False)
