"""Commands on the pages are parsed by the parsers that a user meets."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile

import click

from queen.cli import main
from queen.serving.settings import CONFIG
from tests.unit.docs.pages import Page
from tests.unit.docs.test_names import ALL_SETTINGS, SETTINGS, every_page

SHELL = {"|", ">", "<", "&&", ";"}
OF_OTHERS = {"--build-arg"}
"""Flags of docker."""


@every_page
def test_queen_commands_parse(page: Page) -> None:
    """Each `queen ...` names a command, its subcommand, and options with values that they take."""
    faults = []
    for words in page.command_lines():
        if words[0] != "queen":
            continue
        try:
            _parse(list(takewhile(lambda word: word not in SHELL, words[1:])))
        except click.ClickException as error:
            faults.append(f"{' '.join(words)}: {error.format_message()}")
    assert faults == []


def test_examples_in_the_help_of_commands_parse() -> None:
    """Each example below the help of a command is one that the command accepts."""
    faults = []
    for command in _commands(main):
        for line in (command.epilog or "").splitlines():
            words = list(takewhile(lambda word: word not in SHELL, shlex.split(line)))
            if line.startswith("  queen "):
                try:
                    _parse(words[1:])
                except click.ClickException as error:
                    faults.append(f"{line}: {error.format_message()}")
    assert faults == []


def _parse(args: Sequence[str]) -> None:
    """Parse words as `queen` would; click.UsageError for a command or option that is not there.

    Nothing is required, an ellipsis stands for arguments, and a word in capitals for a value.
    """
    command: click.Command = main
    context = click.Context(main, info_name="queen")
    rest = [word for word in args if word != "..."]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command, context = found, click.Context(found, info_name=name, parent=context)
    values, _, _ = command.make_parser(context).parse_args(rest)
    for option in command.params:
        given = values.get(option.name or "")
        if given and not (isinstance(option.type, click.Path) or str(given).isupper()):
            option.type_cast_value(context, given)


@every_page
def test_flags_of_services_exist(page: Page) -> None:
    """Each flag after `python -m queen_inference`, or another service, is a setting of it."""
    unknown = []
    for service, flags in _service_flags(page):
        known = {CONFIG, "help", *SETTINGS[service].model_fields}
        unknown += [flag for flag in flags if flag[2:].replace("-", "_") not in known]
    assert unknown == []


def _service_flags(page: Page) -> Iterator[tuple[str, list[str]]]:
    for words in page.command_lines():
        if words[:2] == ["python", "-m"] and words[2].startswith("queen_"):
            flags = [word for word in words[3:] if word.startswith("--")]
            yield words[2].removeprefix("queen_").partition(".")[0], flags


@every_page
def test_flags_alone_in_code_font_exist(page: Page) -> None:
    """A flag that stands alone in code font is an option of a command or of a service."""
    flags = {span.split()[0].split("=")[0] for span in page.spans if span.startswith("--")}
    known = _all_flags()
    assert [flag for flag in sorted(flags - OF_OTHERS) if flag[2:] not in known] == []


@cache
def _all_flags() -> frozenset[str]:
    """Every flag of every command and service, without its dashes."""
    settings = {name.replace("_", "-") for name in ALL_SETTINGS}
    settings |= {f"no-{name}" for name in settings}
    options = {option for command in _commands(main) for option in _options(command)}
    return frozenset({CONFIG, "help"} | settings | options)


def _commands(group: click.Group) -> Iterator[click.Command]:
    """Every command below a group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from _commands(command) if isinstance(command, click.Group) else [command]


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        for name in [*parameter.opts, *parameter.secondary_opts]:
            yield name.lstrip("-")
