"""A click group that imports a command when it is run, and puts its failures into words."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from queen.cli.refusal import Refusal, sentence

_OWN = ("queen", "queen_inference", "queen_sensitivity", "queen_perturber")


@dataclass(frozen=True)
class LazyCommand:
    """A click command, named `command` in a module of `queen.cli` that is imported on use."""

    name: str
    summary: str
    extra: str = ""
    """Extra of the distribution that installs the libraries of the command."""
    room: str = ""
    """Package of a command that has several files; its module is `<room>.command`."""

    @property
    def module(self) -> str:
        """Module below `queen.cli`."""
        return f"{self.room}.command" if self.room else self.name


class LazyGroup(click.Group):
    """A group that knows its commands by name; an error is a sentence, with --debug a traceback."""

    def __init__(self, *args: Any, lazy_commands: Sequence[LazyCommand] = (), **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._lazy = {command.name: command for command in lazy_commands}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order in which a newcomer meets them."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; Refusal that names the extra if a library is missing."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        try:
            module = importlib.import_module(f"queen.cli.{self._lazy[cmd_name].module}")
        except ModuleNotFoundError as error:
            if is_debugging(ctx):
                raise
            raise missing_library(self._lazy[cmd_name], error) from error
        command: click.Command = module.command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the summaries, without an import of any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.summary) for command in self._lazy.values()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error that is not a bug becomes a sentence."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except ModuleNotFoundError as error:
            if is_debugging(ctx):
                raise
            raise missing_library(self._lazy[str(ctx.invoked_subcommand)], error) from error
        except Exception as error:
            words = sentence(error)
            if words is None or is_debugging(ctx):
                raise
            raise Refusal(words) from error


def is_debugging(ctx: click.Context) -> bool:
    """Whether --debug or QUEEN_DEBUG asks for tracebacks."""
    return bool(ctx.find_root().params.get("debug"))


def missing_library(command: LazyCommand, error: ModuleNotFoundError) -> Refusal:
    """Refusal that names the extra with the missing library, or Queen's own missing module."""
    library = (error.name or "").partition(".")[0]
    if library in _OWN or not command.extra:
        return Refusal(f"queen {command.name}: {error}; the installation is incomplete")
    return Refusal(
        f"queen {command.name} needs the `{command.extra}` extra ({library} is missing): "
        f"pip install 'queen[{command.extra}]'"
    )
