"""The type of a `--class-cap` flag."""

from __future__ import annotations

from typing import Any

import click

from queen.errors import ConfigError
from queen.method.crossing import cap_text, read_cap


class ClassCapType(click.ParamType[int]):
    """A class cap: a whole number from 1 on, or `off`, which is `CAP_OFF`."""

    name = "class cap"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error for another text."""
        try:
            return read_cap(cap_text(value) if isinstance(value, int) else value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        """The form of the value in the help."""
        return "INTEGER|off"
