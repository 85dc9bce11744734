"""`queen bench`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

_JSON = click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows."
)


@click.group()
def command() -> None:
    """Measure what the defence costs, as ratios in one run."""


@command.command()
@click.option("--repeats", type=click.IntRange(min=3), default=15, show_default=True)
@_JSON
def method(repeats: int, json_path: Path | None) -> None:
    """Time the kernels in-process: closed forms against the loops they replace."""
    from queen.bench.method import goal_met, run_method_bench  # noqa: PLC0415 - loads Torch

    rows = run_method_bench(repeats)
    table = Table(title="Cost of a query, batch 256, one thread", title_justify="left")
    for column in ("kernel", "us (median)", "fastest - slowest", "goal", "against", "times faster"):
        table.add_column(column, justify="left" if column in ("kernel", "against") else "right")
    for row in rows:
        met = goal_met(row)
        goal = "" if met is None else f"< {row['goal']:g} {'met' if met else 'MISSED'}"
        table.add_row(
            row["name"],
            f"{row['microseconds']:.2f}",
            f"{row['fastest']:.2f} - {row['slowest']:.2f}",
            goal,
            row["reference"] or "",
            f"{row['speedup']:,.0f}" if row["speedup"] else "",
        )
    _publish("method", rows, table, json_path)


@command.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("build/demo/bundle"),
    show_default=True,
    help="What to serve; `queen demo` leaves one here.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("build/demo/digits.npz"),
    show_default=True,
    help="npz whose `x` are the queries.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=2.0, show_default=True)
@_JSON
def serve(bundle: Path, data: Path, rounds: int, seconds: float, json_path: Path | None) -> None:
    """Load the defended door and a bare grpc.aio + ONNX Runtime server in turns."""
    from queen.bench.serve import (  # noqa: PLC0415 - loads the client
        ServeOptions,
        count_bursts,
        run_serve_bench,
    )

    with tempfile.TemporaryDirectory() as state, Progress(console=Console(stderr=True)) as progress:
        options = ServeOptions(bundle, data, Path(state), rounds, seconds)
        task = progress.add_task("bursts", total=count_bursts(options))
        rows = run_serve_bench(options, lambda: progress.advance(task))
    table = Table(title="Ratios to the bare server", title_justify="left")
    for column in ("contestant", "batch", "in flight", "requests/s", "p50", "p99", "server CPU"):
        table.add_column(column, justify="right" if column != "contestant" else "left")
    for row in rows:
        if row["contestant"] == "bare":
            continue
        measures = ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms_per_request")
        cells = [_ratio(row[f"{measure}_ratio"]) for measure in measures]
        table.add_row(row["contestant"], str(row["batch"]), str(row["in_flight"]), *cells)
    _publish("serve", rows, table, json_path)


def _ratio(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


def _publish(name: str, rows: list[dict[str, Any]], table: Table, path: Path | None) -> None:
    from queen.bench.machine import describe_machine  # noqa: PLC0415

    machine = describe_machine()
    console = Console()
    console.print(table)
    console.print(f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"bench": name, "machine": machine, "rows": rows}
        path.write_text(json.dumps(content, indent=2) + "\n")
