"""`queen bench charge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from queen.cli import options
from queen.cli.bench.figures import count, empty_table, json_path, publish
from queen.cli.bench.options import experiment
from queen.method.crossing import CrossingPolicy
from queen.method.sensitivity import Charge


@click.command()
@experiment
@options.breadth
@options.class_cap
@options.charge
@options.accounts(1000)
@options.queries(8400)
@json_path
def charge(json_path: Path | None, **asked: Any) -> None:
    """Measure what a charge costs honest accounts, and leaves an active thief."""
    from queen.bench.charge import run_charge_bench  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.cache import Cache  # noqa: PLC0415 - as the line above
    from queen.redteam.runs.experiment import Experiment  # noqa: PLC0415 - as the line above

    policy = CrossingPolicy(*(asked.pop(name) for name in ("budget", "breadth", "class_cap")))
    cache = Cache(asked.pop("cache"))
    protected = Experiment(asked.pop("dataset"), asked.pop("seed"), cache, asked.pop("data_dir"))
    row = run_charge_bench(protected, Charge(asked.pop("charge")), policy, **asked)
    Console().print(thieves_table(row))
    publish("charge", {"rows": [row]}, honest_table(row), json_path)


def honest_table(row: dict[str, Any]) -> Table:
    """A row for each kind of honest traffic."""
    title = "Queries of honest accounts until they are over"
    table = empty_table(title, "traffic", "fewest", "median", "accounts over")
    for kind, crossing in row["honest"].items():
        table.add_row(kind, *(count(crossing[key]) for key in ("fewest", "median", "over")))
    return table


def thieves_table(row: dict[str, Any]) -> Table:
    """A row for each thief."""
    columns = ("thief", "clean answers", "copy", "copy of as many plain images")
    table = empty_table("Clean answers of a thief, and its copy", *columns)
    for thief in row["thieves"]:
        name = f"1 in {thief['every']} doubted" if thief["every"] else "plain"
        copies = (f"{thief[key]:.1%}" for key in ("copy", "plain_copy"))
        table.add_row(name, f"{thief['clean']:,}", *copies)
    return table
