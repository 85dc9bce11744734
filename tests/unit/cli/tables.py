"""Tables as a reader sees them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def shown(table: Table) -> list[list[str]]:
    """The words of each line of a table, its frame left out."""
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(table)
    lines = (line.strip("┃│") for line in capture.get().splitlines())
    cells = ([cell.strip() for cell in line.replace("┃", "│").split("│")] for line in lines)
    return [row for row in cells if len(row) > 1]
