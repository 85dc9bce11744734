"""`queen demo`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console


@click.command()
@click.option(
    "--dataset",
    type=click.Choice(["digits", "fashion-mnist"]),
    default="digits",
    show_default=True,
    help="Real data to run on; digits come with scikit-learn.",
)
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the Fashion-MNIST IDX files, plain or gzipped.",
)
@click.option("--budget", type=click.IntRange(min=1), help="Records of a class before reversal.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="Folder of the bundle, the report and the picture.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random choices.")
def command(dataset: str, data_dir: Path | None, budget: int | None, out: Path, seed: int) -> None:
    r"""Watch the three services defend a real classifier.

    Trains a protectee, fits a bundle, starts the services on loopback, sends the queries of
    three thieves and of four honest accounts through gRPC, trains the thieves' copies with and
    without the defense, and writes OUT/report.json and OUT/demo.png.

    \b
    Example:
      queen demo --dataset fashion-mnist
    """
    from queen.demo.scenario import DemoOptions  # noqa: PLC0415 - loads the data sets
    from queen.demo.story import run_demo  # noqa: PLC0415 - loads Torch

    options = DemoOptions(dataset=dataset, out=out, data_dir=data_dir, budget=budget, seed=seed)
    run_demo(options, Console(stderr=False))
