"""Options that several benches share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from queen.cli.bench.options import bundle, experiment, samples
from queen.defaults import BUDGET


@click.command()
@bundle
@samples("build/demo/pool.npz", "npz of a test.")
@experiment
def everything(**asked: Any) -> None:
    """Print the values."""
    for name, value in asked.items():
        click.echo(f"{name}={value}")


def test_an_experiment_has_defaults_of_the_red_team(tmp_path: Path) -> None:
    """Digits, seed 0, the default budget and the cache of `queen redteam`."""
    data = tmp_path / "x.npz"
    data.touch()
    done = CliRunner().invoke(everything, ["--bundle", str(tmp_path), "--data", str(data)])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"bundle={tmp_path}",
        f"data={data}",
        "dataset=digits",
        "data_dir=None",
        "cache=build/redteam/cache",
        "seed=0",
        f"budget={BUDGET}",
    ]


@pytest.mark.parametrize(
    "argv",
    [("--budget", "0"), ("--dataset", "cifar10"), ("--bundle", "/no/such"), ("--seed", "-1")],
)
def test_a_mistake_is_a_usage_error(argv: tuple[str, str]) -> None:
    """The message names the option."""
    done = CliRunner().invoke(everything, argv)
    assert done.exit_code == 2
    assert argv[0] in done.output
