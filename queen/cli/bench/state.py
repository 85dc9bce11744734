"""`queen bench state`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli.bench.figures import empty_table, json_path, publish


@click.command()
@click.option(
    "--accounts",
    type=click.IntRange(min=1000),
    default=1_000_000,
    show_default=True,
    help="Accounts that the engine sees.",
)
@click.option("--rounds", type=click.IntRange(min=10), default=300, show_default=True)
@click.option(
    "--redis",
    "redis_url",
    help="URL of a Redis to append to; else a new redis-server.",
)
@json_path
def state(accounts: int, rounds: int, redis_url: str | None, json_path: Path | None) -> None:
    """Measure the ledgers of many accounts: verdicts, appends and memory."""
    from queen.bench.state.bench import (  # noqa: PLC0415 - loads FAISS
        StateOptions,
        count_steps,
        run_state_bench,
    )
    from queen.bench.state.goals import GOALS  # noqa: PLC0415 - as the line above

    options = StateOptions(accounts=accounts, rounds=rounds, redis_url=redis_url)
    # A thread that draws would hold the interpreter's lock while the engine waits for it.
    with Progress(console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("state", total=count_steps(options))
        figures = run_state_bench(options, lambda: progress.update(task, advance=1, refresh=True))
    goals = [
        {"key": goal.key, "title": goal.title, "goal": goal.verdict(figures[goal.key])}
        for goal in GOALS
    ]
    publish("state", {"goals": goals, **figures}, state_table(figures, goals), json_path)


def state_table(figures: dict[str, Any], goals: list[dict[str, str]]) -> Table:
    """A row for each goal, with its verdict, and one for each synchronous mode of SQLite."""
    table = empty_table(
        "State of the accounts, engine on one thread", "measure", "measured", "goal"
    )
    for goal in goals:
        table.add_row(goal["title"], f"{figures[goal['key']]:,}", goal["goal"])
    for name, rates in figures["sqlite_appends_per_second"].items():
        cells = ", ".join(f"{rate:,} ({batch})" for batch, rate in rates.items())
        table.add_row(f"records a second into SQLite, synchronous {name}", cells, "")
    return table
