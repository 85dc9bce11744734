"""`queen bench frontier`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from queen.cli import options
from queen.cli.class_cap import ClassCapType


@click.command()
@click.option("--dataset", default="fashion-mnist", show_default=True)
@options.seeds(0)
@options.budget("Records.")
@click.option(
    "--breadths",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 3, 5, 8),
    show_default=True,
    help="Crossed classes that put an account over; may be repeated.",
)
@click.option(
    "--caps",
    type=ClassCapType(),
    multiple=True,
    default=("1", "3", "10", "off"),
    show_default=True,
    help="Budgets of a single class that do so alone; may be repeated.",
)
@options.queries(20_000)
@click.option(
    "--accounts",
    "honest_accounts",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Honest accounts of each kind.",
)
@options.data_dir()
@options.out(
    "Folder of rows, table and picture; a run that was stopped continues.", Path("build/frontier")
)
@options.cache()
def frontier(data_dir: Path | None, out: Path, cache: Path, **asked: Any) -> None:
    """Weigh crossing policies: copies of clean answers against what honest accounts pay."""
    from queen.redteam.frontier.report import report_frontier  # noqa: PLC0415 - loads Torch
    from queen.redteam.frontier.sweep import Sweep  # noqa: PLC0415 - as the line above
    from queen.redteam.runs.workers import Folders  # noqa: PLC0415 - as the line above

    shown = " ".join(["queen", *sys.argv[1:]])
    report_frontier(Sweep(**asked), Folders(out, cache, data_dir), shown, Console())
