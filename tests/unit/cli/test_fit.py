import dataclasses
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

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


@pytest.mark.parametrize(
    ("text", "choice"), [("off", "off"), ("0,1", (0.0, 1.0)), ("-1,1e3", (-1.0, 1000.0))]
)
def test_an_input_range_is_a_word_or_two_numbers(text: str, choice: object) -> None:
    """A negative bound is no option."""
    with command.make_context("fit", [*REQUIRED, "--input-range", text]) as context:
        assert context.params["input_range"] == choice


@pytest.mark.parametrize("text", ["on", "1", "0,1,2", "a,b", ""])
def test_another_input_range_is_a_usage_error(text: str) -> None:
    """That says what is expected."""
    with pytest.raises(click.BadParameter, match="expected auto, off or two numbers such as 0,1"):
        command.make_context("fit", [*REQUIRED, "--input-range", text])


def test_the_help_shows_the_forms_of_an_input_range() -> None:
    """In the place of the value."""
    assert "auto|off|LOW,HIGH" in CliRunner().invoke(command, ["--help"]).output
