"""`queen bench serve`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli.bench.figures import empty_table, json_path, publish
from queen.cli.bench.options import bundle, samples


@click.command()
@bundle
@samples("build/demo/digits.npz", "npz whose `x` are the queries.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=2.0, show_default=True)
@click.option("--tls", is_flag=True, help="Measure a front door that speaks TLS, too.")
@json_path
def serve(data: Path, json_path: Path | None, **asked: Any) -> None:
    """Load the defended door and a bare grpc.aio + ONNX Runtime server in turns."""
    from queen.bench.serve import (  # noqa: PLC0415 - loads the client
        ServeOptions,
        count_bursts,
        run_serve_bench,
    )

    with tempfile.TemporaryDirectory() as state, Progress(console=Console(stderr=True)) as progress:
        load = ServeOptions(data=data, state=Path(state), **asked)
        task = progress.add_task("bursts", total=count_bursts(load))
        rows = run_serve_bench(load, lambda: progress.advance(task))
    publish("serve", {"rows": rows}, serve_table(rows), json_path)


def serve_table(rows: list[dict[str, Any]]) -> Table:
    """A row for each load on the door; the bare server is what they are divided by."""
    columns = ("contestant", "batch", "in flight", "requests/s", "p50", "p99", "server CPU")
    table = empty_table("Ratios to the bare server", *columns)
    measures = ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms_per_request")
    for row in rows:
        if row["contestant"] == "bare":
            continue
        cells = [_ratio(row[f"{measure}_ratio"]) for measure in measures]
        table.add_row(row["contestant"], str(row["batch"]), str(row["in_flight"]), *cells)
    return table


def _ratio(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"
