"""`queen bench leak`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli import options
from queen.cli.bench.figures import empty_table, json_path, publish
from queen.cli.bench.options import bundle, samples
from queen.method.contracts import Profile

PROFILES = [profile.value for profile in Profile if profile is not Profile.OBSERVE]

_CAPTION = (
    "Compared are flagged and unflagged queries, under refuse recorded and known ones; in, out: "
    "new queries inside and outside of the regions. load and alone: the throughput with 32 and "
    "with 1 in flight, over that where nothing is held."
)


@click.command()
@bundle
@samples("build/demo/digits.npz", "npz whose `x` are the queries.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=90.0,
    show_default=True,
    help="Time for which answers are timed; a minute of loads follows.",
)
@click.option(
    "--profile",
    "profiles",
    type=click.Choice(PROFILES),
    multiple=True,
    default=PROFILES,
    show_default=True,
    help="A profile to time; may be given several times.",
)
@options.seed
@json_path
def leak(json_path: Path | None, seconds: float, profiles: tuple[str, ...], **asked: Any) -> None:
    """Measure the leak by timing: what the time of an answer tells of its verdict.

    `queen redteam --leak` measures what the numbers of an answer tell.
    """
    from queen.bench.verdict_time.bench import (  # noqa: PLC0415 - loads the client
        LeakOptions,
        run_leak_bench,
    )

    with tempfile.TemporaryDirectory() as state, Progress(console=Console(stderr=True)) as progress:
        chosen = LeakOptions(
            state=Path(state), seconds=seconds, profiles=list(map(Profile, profiles)), **asked
        )
        task = progress.add_task("seconds", total=seconds)
        rows = run_leak_bench(chosen, lambda passed: progress.update(task, completed=passed))
    publish(
        "leak", {"seconds": seconds, "seed": chosen.seed, "rows": rows}, leak_table(rows), json_path
    )


def leak_table(rows: list[dict[str, Any]]) -> Table:
    """A row for each profile and setting; 0.50 is a guess, 1.00 tells."""
    columns = ("profile", "held", "once", "best of 8", "p10 of 40", "in bursts")
    more = ("in, out", "known, out", "load", "alone")
    title = "What times tell: the share of pairs put in order"
    table = empty_table(title, *columns, *more, words=("held",))
    table.caption = _CAPTION
    names = ("auc_one", "auc_fastest_of_8", "auc_p10_of_40", "auc_in_burst")
    others = ("auc_inside_outside", "auc_covered_outside", "cost_ratio", "cost_ratio_alone")
    for row in rows:
        cells = ["" if row.get(name) is None else f"{row[name]:.2f}" for name in names + others]
        table.add_row(row["profile"], row["held"], *cells)
    return table
