"""The type of a `--class-cap` flag."""

from __future__ import annotations

import click
import pytest

from queen.cli.class_cap import ClassCapType
from queen.method.crossing import CAP_OFF


@pytest.mark.parametrize(
    ("text", "class_cap"), [("1", 1), ("off", CAP_OFF), ("OFF", CAP_OFF), (CAP_OFF, CAP_OFF)]
)
def test_a_cap_is_a_number_or_off(text: str | int, class_cap: int) -> None:
    """A default may be the number itself."""
    assert ClassCapType().convert(text, None, None) == class_cap


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "none", "", str(CAP_OFF)])
def test_another_text_is_a_usage_error(text: str) -> None:
    """It says what was expected."""
    with pytest.raises(click.BadParameter, match="expected a class cap of 1 budget"):
        ClassCapType().convert(text, None, None)
