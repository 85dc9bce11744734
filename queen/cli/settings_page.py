"""The page docs/settings.md, made from the settings of the three services.

    python -m queen.cli.settings_page docs/settings.md

A test compares the page with the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from queen.cli.up.plan import SERVICES, settings_of
from queen.serving.settings import ServiceSettings

_HEAD = """\
# Settings

<!-- Made from the code by `make docs`: change the docstrings of the settings, not this page. -->

A service reads each setting from a flag, an environment variable or the YAML file that `--config`
or `..._CONFIG` names, in this order, and else uses the default. The file has the setting's own
name as its key. A service does not start with an unknown flag, variable or key, or with a value of
another type; its error names the closest name that exists. `queen check FILE --service NAME` checks
a file without a start.
"""
_COLUMNS = ("setting", "flag", "variable", "type", "default", "meaning")
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_NAMES = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}


def render_page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(name, settings_of(name)) for name in SERVICES)])


def _section(service: str, cls: type[ServiceSettings]) -> str:
    rows = [_row(cls, name, field) for name, field in cls.model_fields.items()]
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"## {service}\n\n{cls.__doc__}\n\n{table}\n"


def _row(cls: type[ServiceSettings], name: str, field: FieldInfo) -> list[str]:
    flag = cls.flag(name)
    if field.annotation is bool and field.default:
        flag = flag.replace("--", "--no-", 1)
    cells = [f"`{name}`", f"`{flag}`", f"`{cls.variable(name)}`"]
    meaning = " ".join((field.description or "").split())
    cells += [", ".join(_type(field)), _default(field), meaning]
    return [cell.replace("|", "\\|") for cell in cells]


def _type(field: FieldInfo) -> Iterator[str]:
    """Words for the values that a setting can have."""
    kind: Any = field.annotation
    members = [part for part in get_args(kind) if part is not type(None)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        members = [member.value for member in kind]
    if members and isinstance(members[0], str):
        yield " or ".join(f"`{member}`" for member in members)
    else:
        yield _NAMES[members[0] if members else kind]
    for bound in field.metadata:
        for attribute, words in _BOUNDS.items():
            if hasattr(bound, attribute):
                yield f"{words} {getattr(bound, attribute)}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    """Write the page to the path that is given."""
    Path(sys.argv[1]).write_text(render_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
