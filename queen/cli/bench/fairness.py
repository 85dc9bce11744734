"""`queen bench fairness`."""

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
from queen.method.contracts import Profile


@click.command()
@bundle
@samples("build/demo/digits.npz", "npz whose `x` are the queries.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
@click.option(
    "--asks",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.5,
    show_default=True,
    help="What the account asks, of its share: the capacity divided by the accounts that ask.",
)
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.PAPER.value,
    show_default=True,
    help="Profile of all accounts; `paper` costs the server most.",
)
@json_path
def fairness(data: Path, json_path: Path | None, **asked: Any) -> None:
    """Measure what one to three hostile accounts take from an account within its share."""
    from queen.bench.fairness import (  # noqa: PLC0415 - loads the client
        FairnessOptions,
        count_pairs,
        run_fairness_bench,
    )

    with tempfile.TemporaryDirectory() as state, Progress(console=Console(stderr=True)) as progress:
        options = FairnessOptions(data=data, state=Path(state), **asked)
        task = progress.add_task("pairs", total=count_pairs(options))
        rows = run_fairness_bench(options, lambda: progress.advance(task))
    publish("fairness", {"rows": rows}, fairness_table(rows), json_path)


def fairness_table(rows: list[dict[str, Any]]) -> Table:
    """A row for each mode and number of hostile accounts, against quiet periods between."""
    columns = ("hostile accounts", "how many", "asked/s", "kept", "p99 ratio", "p99 quiet, beside")
    table = empty_table("An account within its share, beside hostile accounts", *columns)
    for row in rows:
        kept, *range_kept = (f"{100 * share:.0f}" for share in row["kept"])
        ratio, *range_ratio = (f"{value:.1f}" for value in row["p99_ratio"])
        table.add_row(
            row["mode"],
            str(row["hostile"]),
            f"{row['asked_per_second']:.0f}",
            f"{kept} % ({' - '.join(range_kept)})",
            f"{ratio} ({' - '.join(range_ratio)})",
            f"{row['p99_quiet_ms']:.0f}, {row['p99_ms']:.0f} ms",
        )
    return table
