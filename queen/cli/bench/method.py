"""`queen bench method`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from queen.cli.bench.figures import empty_table, json_path, publish


@click.command()
@click.option("--repeats", type=click.IntRange(min=3), default=15, show_default=True)
@json_path
def method(repeats: int, json_path: Path | None) -> None:
    """Time the kernels in-process: closed forms against the loops they replace."""
    from queen.bench.method import goal_met, run_method_bench  # noqa: PLC0415 - loads Torch

    rows = run_method_bench(repeats)
    table = method_table((row, goal_met(row)) for row in rows)
    publish("method", {"rows": rows}, table, json_path)


def method_table(rows: Iterable[tuple[dict[str, Any], bool | None]]) -> Table:
    """A row for each kernel, with whether it meets its goal; None where it has none."""
    columns = ("kernel", "us (median)", "fastest - slowest", "goal", "against", "times faster")
    title = "Cost of a query, batch 256, one thread"
    table = empty_table(title, *columns, words=("against",))
    for row, met in rows:
        goal = "" if met is None else f"< {row['goal']:g} {'met' if met else 'MISSED'}"
        table.add_row(
            row["name"],
            f"{row['microseconds']:.2f}",
            f"{row['fastest']:.2f} - {row['slowest']:.2f}",
            goal,
            row["reference"] or "",
            f"{row['speedup']:,.0f}" if row["speedup"] else "",
        )
    return table
