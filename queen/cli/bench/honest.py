"""`queen bench honest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli import options
from queen.cli.bench.figures import count, empty_table, json_path, publish
from queen.cli.bench.options import bundle
from queen.method.contracts import Profile
from queen.method.crossing import CrossingPolicy, cap_text
from queen.method.sensitivity import Charge

if TYPE_CHECKING:
    from queen.bench.honest import HonestOptions


@click.command()
@bundle
@click.option(
    "--train",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("build/demo/digits.npz"),
    show_default=True,
    help="npz that the bundle was fitted with.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    default=(Path("build/demo/test.npz"), Path("build/demo/pool.npz")),
    show_default=True,
    help="npz whose `x` the protectee never saw, with labels `y` or without; may be repeated.",
)
@options.profile
@options.budget("Records.")
@options.breadth
@options.class_cap
@options.charge
@options.accounts(1000)
@options.queries(10_000)
@options.seed
@json_path
def honest(json_path: Path | None, **asked: Any) -> None:
    """Count what a policy and a meter do to honest accounts, by their traffic."""
    from queen.bench.honest import HonestOptions, run_honest_bench  # noqa: PLC0415 - loads ONNX Runtime

    policy = CrossingPolicy(*(asked.pop(name) for name in ("budget", "breadth", "class_cap")))
    profile = Profile(asked.pop("profile"))
    charge = Charge(asked.pop("charge"))
    chosen = HonestOptions(policy=policy, profile=profile, charge=charge, **asked)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("kinds of traffic")
        rows = run_honest_bench(
            chosen, lambda done, every: progress.update(task, completed=done, total=every)
        )
    publish("honest", {"rows": rows}, _table(chosen, rows), json_path)


def _table(chosen: HonestOptions, rows: list[dict[str, Any]]) -> Table:
    policy = chosen.policy
    title = (
        f"{chosen.accounts:,} honest accounts of each kind, {chosen.queries:,} queries each: "
        f"{chosen.profile} n{policy.budget}, breadth {policy.breadth}, "
        f"class cap {cap_text(policy.class_cap)}"
    )
    columns = ("traffic", "volume", "harmed before", "harmed", "first", "flagged", "right at last")
    table = empty_table(title, *columns)
    table.caption = (
        "harmed: with a query that was reversed or refused; first: answers before it, "
        "0.1 % quantile and median"
    )
    for row in rows:
        earliest, median, _ = row["first_harm"]
        *_, flagged = row["flagged"].values()
        table.add_row(
            row["kind"],
            count(row["volume"]),
            f"{row['harmed_before_volume']:,}",
            f"{row['harmed']:,}",
            f"{count(earliest)} / {count(median)}",
            f"{flagged:,}",
            f"{row['right'][-1][1]:.1%} of {row['right_undefended']:.1%}",
        )
    return table
