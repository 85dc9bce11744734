"""The report of a run: files for programs, spreadsheets and readers, and tables on the screen."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from queen.redteam.report.leaks import Leaks, leak_cell
from queen.redteam.report.markdown import (
    met_text,
    percent,
    render_report,
    setting_title,
)
from queen.redteam.report.picture import PICTURE, draw_picture, main_setting
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import Standing, defense_title, standings


@dataclass(frozen=True)
class Report:
    """The rows of a run, the command that gave them, and the cells that are not among them.

    `leaks` are the rows of a measurement of the leak, if there was one.
    """

    rows: list[Row]
    command: str
    left_out: str = ""
    unmeasured: list[str] = field(default_factory=list)
    leaks: list[Row] = field(default_factory=list)


def write_report(report: Report, out: Path, console: Console) -> None:
    """Write report.json, report.csv, report.md and the picture into `out`; show the table."""
    out.mkdir(parents=True, exist_ok=True)
    stands = standings(report.rows)
    text = json.dumps(report.rows, indent=2, allow_nan=False)
    (out / "report.json").write_text(text + "\n")
    _write_csv(report.rows, out / "report.csv")
    missing = [*report.unmeasured, *_without_copy(report.rows)]
    page = render_report(stands, report.leaks, report.command, report.left_out, missing)
    (out / "report.md").write_text(page)
    draw_picture([(stand.title, stand) for stand in main_setting(stands)], out / PICTURE)
    print_standings(stands, report.leaks, console)
    names = ("report.json", "report.csv", "report.md", PICTURE)
    console.print(f"Written to {out}: {', '.join(names)}", highlight=False)


def _without_copy(rows: Sequence[Row]) -> list[str]:
    return [
        f"{row['attack']} on {defense_title(row)}, seed {row['seed']}: {row['note']}"
        for row in rows
        if row.get("note")
    ]


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _csv_cell(value) for name, value in row.items()})


def _csv_cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def print_standings(stands: Sequence[Standing], leaks: Leaks, console: Console) -> None:
    """Show a table for each setting, with the best copies beside what honest accounts pay."""
    groups: dict[str, list[Standing]] = {}
    for standing in stands:
        groups.setdefault(setting_title(standing), []).append(standing)
    for title, group in groups.items():
        console.print(_table(title, group, leaks))


def _table(title: str, group: Sequence[Standing], leaks: Leaks) -> Table:
    table = Table(title=title, title_justify="left")
    shown = ("defense", "met", "best", "by", "plain", "floor", "leak", "harmed", "of", "L1")
    for column in shown:
        is_name = column in {"defense", "met", "by", "of"}
        # Names may wrap on a narrow terminal, figures may not.
        table.add_column(
            column, justify="left" if is_name else "right", no_wrap=not is_name, overflow="fold"
        )
    for standing in group:
        moved = standing.traffic["mean_l1"]
        table.add_row(
            standing.title,
            met_text(standing),
            f"[bold]{percent(standing.worst)}[/bold]",
            standing.worst_attack,
            percent(standing.plain),
            percent(standing.figures["clean_prefix_floor"]),
            leak_cell(leaks, standing.key),
            percent(standing.figures["honest_harmed"]),
            standing.honest_kind or "-",
            "-" if moved is None else f"{moved.mean:.2f}",
        )
    return table
