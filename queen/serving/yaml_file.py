"""YAML files that an operator writes: settings and accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from queen.errors import ConfigError

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Plain values only, and dates as the text that stands in the file.

    YAML would turn `id: 2025-02-03` into a date, and fail on a day that no calendar has. LibYAML's
    loader is faster, but a deep nest of brackets overflows its stack and ends the process.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; ConfigError if it cannot be read or is not YAML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_yaml(content, path)


def parse_yaml(content: bytes, path: Path) -> Any:
    """The value of the bytes of a YAML file; ConfigError, naming `path`, if they are not YAML."""
    try:
        return yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 - a safe loader
    # Its constructors raise ValueError, TypeError, IndexError and others for values that do not
    # fit their tag, and RecursionError for a deep nest: none may get past this function.
    except Exception as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{path}: expected YAML{line}, got something else") from error
