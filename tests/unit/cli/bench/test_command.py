"""`queen bench` and the benches that it knows."""

from __future__ import annotations

import click
from click.testing import CliRunner

from queen.cli.bench.command import command


def test_every_bench_says_what_it_measures() -> None:
    """The help of the group lists each bench with the first sentence of its own help."""
    help_text = CliRunner().invoke(command, ["--help"]).output
    assert set(command.commands) == {
        *("method", "serve", "leak", "fairness", "state"),
        *("honest", "frontier", "charge"),
        *("links", "meter", "secrecy"),
    }
    for name, bench in command.commands.items():
        assert f"\n  {name} " in help_text
        own = CliRunner().invoke(bench, ["--help"])
        assert own.exit_code == 0
        assert str(bench.help).split()[0] in own.output


def test_every_option_of_a_bench_is_named_once() -> None:
    """Shared options do not meet an option of the same name in a command."""
    for bench in command.commands.values():
        names = [name for option in bench.params for name in option.opts]
        assert len(names) == len(set(names))
        assert all(isinstance(option, click.Option) for option in bench.params)
