"""Loads settings: flag > environment > file > default, and no unknown key in any of them."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import CliSettingsSource, EnvSettingsSource, SettingsError

from queen.errors import ConfigError
from queen.printable import brief
from queen.serving.settings import CONFIG, ServiceSettings, holds_password
from queen.serving.yaml_file import read_yaml

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
_MOST_WORDS = 500
"""Characters of the reason why a value does not fit: some reasons quote it."""
_SET_LINKS = "; set enableServiceLinks: false in the pod"


@dataclass(frozen=True)
class _Source:
    """The settings that a source gives, and how that source spells a setting."""

    name: str
    values: Mapping[str, Any]
    spell: Callable[[str], str] = str


def load_settings(cls: type[SettingsT], argv: Sequence[str]) -> SettingsT:
    """Settings from flags `argv`, the environment, the file of --config, and the defaults.

    Raises ConfigError, naming the key and its source, for a key that is unknown or a
    value that does not fit. `--help` prints the flags and exits.
    """
    flags, file = _read_flags(cls, argv)
    sources = [flags, _read_environment(cls)]
    file = file or os.environ.get(cls.variable(CONFIG))
    if file is not None:
        sources.append(_read_file(cls, Path(file)))
    return _validated(cls, sources)


def require_no_password(argv: Sequence[str]) -> Sequence[str]:
    """The flags of a process; ConfigError for one with a URL that holds a password.

    Every user of a machine can read the command lines of its processes.
    """
    for word in argv:
        if holds_password(word):
            flag = word.partition("=")[0] if word.startswith("--") else "a flag"
            raise ConfigError(
                f"{flag}: expected no password on a command line, which every user of this "
                "machine can read; give the setting in the environment or a settings file"
            )
    return argv


def validate_settings_file(cls: type[ServiceSettings], path: Path) -> None:
    """Check a settings file alone, without flags and environment; ConfigError says what is wrong.

    A required path that the file leaves to a flag is no mistake.
    """
    file = _read_file(cls, path)
    left_open = {
        name: Path()
        for name, field in cls.model_fields.items()
        if field.is_required() and field.annotation is Path and name not in file.values
    }
    _validated(cls, [file, _Source("left open", left_open)])


def _validated(cls: type[SettingsT], sources: Sequence[_Source]) -> SettingsT:
    merged: dict[str, Any] = {}
    for source in reversed(sources):
        merged |= source.values
    try:
        return cls(**merged)
    except ValidationError as error:
        sentences = [_explain(cls, sources, detail) for detail in error.errors()]
        raise ConfigError("; ".join(sentences)) from error


def _explain(cls: type[ServiceSettings], sources: Sequence[_Source], detail: ErrorDetails) -> str:
    message = brief(detail["msg"].removeprefix("Value error, "), _MOST_WORDS)
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    if detail["type"] == "missing":
        flag, variable = cls.flag(name), cls.variable(name)
        return f"{name} is required: give {flag}, {variable} or '{name}' in the settings file"
    source = next((source for source in sources if name in source.values), None)
    if source is None:
        return f"{name}: {message}"
    is_secret = cls.model_fields[name].annotation is SecretStr
    got = "" if is_secret else f", got {_quoted(detail['input'])}"
    # Kubernetes injects QUEEN_INFERENCE_PORT=tcp://... for a Service named queen-inference.
    hint = _SET_LINKS if str(detail["input"]).startswith("tcp://") else ""
    return f"{source.spell(name)} ({source.name}): {message}{got}{hint}"


def _read_flags(cls: type[ServiceSettings], argv: Sequence[str]) -> tuple[_Source, str | None]:
    """The flags, and the settings file that they name."""
    parser = _Parser(cls)
    flags: CliSettingsSource[ServiceSettings] = CliSettingsSource(
        cls,
        root_parser=parser,
        parse_args_method=_Parser.parse_settings,
        add_argument_method=_Parser.add_setting,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )
    values = flags(args=list(argv))()
    return _Source("flag", values, cls.flag), parser.config


class _Parser(argparse.ArgumentParser):
    """The parser that pydantic-settings fills; mistakes are ConfigErrors, and do not exit."""

    def __init__(self, cls: type[ServiceSettings]) -> None:
        super().__init__(
            prog=f"python -m {cls.__module__.partition('.')[0]}",
            description=f"{cls.__doc__} Precedence: flag > environment "
            f"({cls.variable('port')} for --port) > file > default.",
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34),
        )
        self._settings = cls
        self.config: str | None = None
        """Path of the settings file, once the flags are parsed."""
        self.add_argument(cls.flag(CONFIG), metavar="FILE", help="YAML file of settings.")

    def add_setting(self, *flags: str, **options: Any) -> None:
        """Add the flag of a setting as the library describes it, except for enumerations."""
        field = self._settings.model_fields.get(options.get("dest", ""))
        kind = field.annotation if field is not None else None
        if field is not None and isinstance(kind, type) and issubclass(kind, Enum):
            # The library would show the names of the members, but the other sources expect the
            # values.
            options["metavar"] = f"{{{','.join(str(member.value) for member in kind)}}}"
            text = f"{field.description} (default: {field.default.value})"
            options["help"] = text.replace("%", "%%")
        self.add_argument(*flags, **options)

    def parse_settings(self, argv: Sequence[str]) -> dict[str, Any]:
        """The flags that are given; ConfigError for one that is unknown, with the nearest."""
        given, unknown = self.parse_known_args(argv)
        if unknown:
            known = [self._settings.flag(name) for name in (*self._settings.model_fields, CONFIG)]
            raise ConfigError(_unknown(unknown[0].split("=")[0], known, "flag"))
        values = vars(given)
        self.config = values.pop(CONFIG)
        return values

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ConfigError(f"{message} (flag)")


def _read_environment(cls: type[ServiceSettings]) -> _Source:
    prefix = cls.env_prefix()
    known = [cls.variable(name) for name in (*cls.model_fields, CONFIG)]
    for variable in os.environ:
        if variable.startswith(prefix) and variable not in known:
            linked = re.search(r"_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)", "_" + variable)
            hint = _SET_LINKS if linked else ""
            raise ConfigError(_unknown(variable, known, "environment") + hint)
    try:
        values = EnvSettingsSource(cls)()
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from error
    return _Source("environment", values, cls.variable)


def _read_file(cls: type[ServiceSettings], path: Path) -> _Source:
    # The library's YamlConfigSettingsSource is not used: it skips a file that is missing, accepts
    # keys in any case, and fails with a TypeError for a file that holds a list. An empty file, or
    # one of comments alone, sets nothing.
    content = read_yaml(path) or {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}")
    for key in content:
        if key not in cls.model_fields:
            raise ConfigError(_unknown(str(key), cls.model_fields, str(path)))
    return _Source(str(path), content)


def _quoted(value: object) -> str:
    """A value as the file or the flag spells it, in few letters."""
    return f"'{brief(value)}'" if isinstance(value, str) else brief(value)


def _unknown(key: str, known: Iterable[str], source: str) -> str:
    # The search takes the square of the length.
    close = difflib.get_close_matches(key[:64], list(known), n=1, cutoff=0.0)
    return f"unknown key {brief(key)} ({source}); the closest that exists is {close[0]}"
