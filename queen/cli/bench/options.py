"""Options that several benches share, beside those of `queen.cli.options`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from queen.cli import options
from queen.cli.options import Command

bundle = click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("build/demo/bundle"),
    show_default=True,
    help="A fitted bundle; `queen demo` leaves one here.",
)


def samples(default: str, text: str) -> Callable[[Command], Command]:
    """The `--data` of a bench that sends samples of an npz; `text` is its help."""
    return click.option(
        "--data",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=Path(default),
        show_default=True,
        help=text,
    )


def experiment(function: Command) -> Command:
    """The options of a bench that runs on a protectee of the red team."""
    for option in reversed(_EXPERIMENT):
        function = option(function)
    return function


_EXPERIMENT = (
    click.option(
        "--dataset",
        type=click.Choice(["digits", "fashion-mnist", "mnist"]),
        default="digits",
        show_default=True,
    ),
    options.data_dir("Folder of the files of the data set."),
    options.cache("Folder of protectees, bundles and copies, that of `queen redteam`."),
    options.seed,
    options.budget(),
)
