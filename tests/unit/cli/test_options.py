"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from queen.cli import options
from queen.defaults import BREADTH, BUDGET, CHARGE, CLASS_CAP, PROFILE


@click.command()
@options.seed
@options.breadth
@options.class_cap
@options.profile
@options.charge
@options.budget("Records.")
@options.accounts(12, fewest=2)
@options.queries(500, fewest=10)
@options.seeds(0)
@options.cache()
@options.data_dir()
@options.out("Folder of a test.", Path("build/test"))
@click.pass_context
def everything(context: click.Context, **asked: Any) -> None:
    """Hand the values to the test."""
    context.obj.update(asked)


def parsed(*argv: str) -> dict[str, Any]:
    """The values of a command line that is accepted."""
    values: dict[str, Any] = {}
    CliRunner().invoke(everything, argv, obj=values, catch_exceptions=False)
    return values


def test_an_operator_who_states_nothing_gets_the_defaults() -> None:
    """The choices are those of `queen.defaults`, as values of the method."""
    assert parsed() == {
        "seed": 0,
        "breadth": BREADTH,
        "class_cap": CLASS_CAP,
        "budget": BUDGET,
        "profile": PROFILE.value,
        "charge": CHARGE.value,
        "accounts": 12,
        "queries": 500,
        "seeds": (0,),
        "cache": Path("build/redteam/cache"),
        "data_dir": None,
        "out": Path("build/test"),
    }


def test_seeds_may_be_repeated() -> None:
    """A list replaces the default."""
    assert parsed("--seeds", "3", "--seeds", "4")["seeds"] == (3, 4)


@pytest.mark.parametrize(
    "argv",
    [
        ("--seed", "-1"),
        ("--breadth", "0"),
        ("--class-cap", "0"),
        ("--profile", "none"),
        ("--charge", "none"),
        ("--budget", "0"),
        ("--accounts", "1"),
        ("--queries", "9"),
        ("--seeds", "-1"),
        ("--data-dir", "/no/such"),
    ],
)
def test_a_value_out_of_bounds_is_a_usage_error(argv: tuple[str, str]) -> None:
    """The message names the option."""
    done = CliRunner().invoke(everything, argv)
    assert done.exit_code == 2
    assert argv[0] in done.output


def test_a_default_is_shown_only_where_there_is_one() -> None:
    """A command that chooses seeds and folder itself says so in its own help."""

    @click.command()
    @options.seeds()
    @options.out("Folder of a test.")
    def undecided(**_asked: Any) -> None:
        """Nothing."""

    assert "default" not in CliRunner().invoke(undecided, ["--help"]).output
    assert "build/test" in CliRunner().invoke(everything, ["--help"]).output
