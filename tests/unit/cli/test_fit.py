import dataclasses
from pathlib import Path

from queen.cli.fit import command
from queen.fit import FitOptions

REQUIRED = ["--model", "m.onnx", "--data", "d.npz", "--out", "bundle"]


def test_the_defaults_of_the_command_are_those_of_a_fit() -> None:
    """The command line and the library fit the same bundle."""
    with command.make_context("fit", list(REQUIRED)) as context:
        asked = FitOptions(**context.params)
    assert asked == FitOptions(Path("m.onnx"), Path("d.npz"), Path("bundle"))


def test_every_option_of_a_fit_is_an_option_of_the_command() -> None:
    """By the same name."""
    fields = {field.name for field in dataclasses.fields(FitOptions)}
    assert {option.name for option in command.params} == fields
