import dataclasses

import click

from queen.cli.fit import command
from queen.fit import FitOptions


def test_every_option_of_a_fit_is_an_option_of_the_command() -> None:
    """By the same name and with the same default, so that both ways fit the same bundle."""
    fields = {field.name: field for field in dataclasses.fields(FitOptions)}
    options = {option.name: option for option in command.params}
    assert set(options) == set(fields)
    context = click.Context(command)
    for name, option in options.items():
        if not option.required:
            assert option.get_default(context) == fields[name].default, name
