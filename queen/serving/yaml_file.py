"""YAML files that an operator writes: settings and accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from queen.errors import ConfigError


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; ConfigError if it cannot be read or is not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{path}: expected YAML{line}, got something else") from error
