"""The defaults of an operator's choices."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from queen_inference.settings import InferenceSettings
from queen_sensitivity.settings import SensitivitySettings

from queen import defaults
from queen.cli import main
from queen.fit import FitOptions
from queen.method.crossing import cap_text


def default_of(path: str, flag: str) -> object:
    """Default of a flag of a command, "bench honest" for instance."""
    command: click.Command = main
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    (option,) = [option for option in command.params if option.name == flag]
    return option.default


@pytest.mark.parametrize("command", ["up", "bench honest"])
def test_commands_offer_the_default_policy(command: str) -> None:
    """A class cap by its number or by its word."""
    assert default_of(command, "breadth") == defaults.BREADTH
    offered = default_of(command, "class_cap")
    assert offered in {defaults.CLASS_CAP, cap_text(defaults.CLASS_CAP)}


@pytest.mark.parametrize("command", ["up", "fit", "inspect", "bench honest"])
def test_commands_offer_the_default_budget(command: str) -> None:
    """Every command that asks for a budget proposes the same."""
    assert default_of(command, "budget") == defaults.BUDGET


def test_services_and_fits_choose_the_defaults() -> None:
    """A service, a deployment and a fit without a choice make the same."""
    assert InferenceSettings.model_fields["default_profile"].default == defaults.PROFILE
    assert default_of("up", "profile") == defaults.PROFILE.value
    own = SensitivitySettings(bundle=Path("bundle"), state="memory").crossing
    assert own == (defaults.BUDGET, defaults.BREADTH, defaults.CLASS_CAP)
    assert FitOptions.__dataclass_fields__["budget"].default == defaults.BUDGET
