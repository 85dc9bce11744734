"""The figures of a bench: a table for the reader, JSON for `make results`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

json_path = click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the figures to.",
)


def empty_table(title: str, *columns: str, words: tuple[str, ...] = ()) -> Table:
    """A table without rows: the first column and `words` hold text, the others numbers."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    for position, column in enumerate(columns):
        is_text = position == 0 or column in words
        table.add_column(column, justify="left" if is_text else "right")
    return table


def publish(bench: str, figures: dict[str, Any], table: Table, path: Path | None) -> None:
    """Print the table and the machine, and write both as JSON to `path` if one is given."""
    from queen.bench.machine import describe_machine  # noqa: PLC0415 - loads the bench

    machine = describe_machine()
    console = Console()
    console.print(table)
    console.print(f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"bench": bench, "machine": machine, **figures}
        path.write_text(json.dumps(content, indent=2) + "\n")


def count(queries: int | None) -> str:
    """A count of queries in words; None is `never`."""
    return "never" if queries is None else f"{queries:,}"
