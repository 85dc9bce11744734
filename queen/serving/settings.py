"""Settings of a service: flag > environment > file > default, and no unknown key anywhere."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from queen.errors import ConfigError

SettingsT = TypeVar("SettingsT", bound="ServiceSettings")

CONFIG = "config"
"""Not a setting: the flag and environment variable that name the settings file."""


class ServiceSettings(BaseSettings):
    """What every service can be told.

    A subclass sets `env_prefix` and `port`, adds its own fields and describes each in the
    string below it, which becomes the help of its flag. Made directly, it reads nothing
    but its arguments; `load_settings` reads flags, environment and file.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bundle: Path
    """Folder of the bundle to serve."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: int = Field(ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    metrics_port: int = Field(ge=-1, le=65535)
    """Port of the Prometheus metrics; 0 takes a free one, -1 serves none."""
    ready_file: Path | None = None
    """File that is written, with the addresses, once the service answers."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line to write."""
    drain_seconds: float = Field(default=5.0, ge=0)
    """Time that requests in flight get to finish after SIGTERM."""
    prestop_seconds: float = Field(default=0.0, ge=0)
    """Time between reporting NOT_SERVING and refusing requests, for load balancers to notice."""
    max_message_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Largest gRPC message taken."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments: `load_settings` does the layering, to say where a value is from."""
        return (init_settings,)

    @classmethod
    def env_prefix(cls) -> str:
        """Prefix of the environment variables, QUEEN_SENSITIVITY_ for instance."""
        return cls.model_config.get("env_prefix", "")

    def describe_effective(self) -> dict[str, Any]:
        """Every setting as it is in force, ready for JSON, with secrets masked."""
        values = self.model_dump(mode="json")
        return {name: _mask(getattr(self, name), value) for name, value in values.items()}


@dataclass(frozen=True)
class _Layer:
    """The settings of one source, and how that source spells a setting."""

    source: str
    values: Mapping[str, Any]
    template: str

    def spell(self, name: str) -> str:
        return self.template.format(snake=name, kebab=name.replace("_", "-"), upper=name.upper())


def load_settings(cls: type[SettingsT], argv: Sequence[str]) -> SettingsT:
    """Settings from flags `argv`, the environment, the file of --config, and the defaults.

    Raises ConfigError, naming the key and its source, for a key that is unknown or a
    value that does not fit. `--help` prints the flags and exits.
    """
    flags = _flags(cls, argv)
    environment = _environment(cls)
    file = flags.values.get(CONFIG) or os.environ.get(cls.env_prefix() + CONFIG.upper())
    layers = [flags, environment]
    if file is not None:
        layers.append(_file(cls, Path(file)))
    return _validated(cls, layers)


def validate_settings_file(cls: type[ServiceSettings], path: Path) -> None:
    """Check a settings file on its own; ConfigError says what is wrong.

    A required path that the file leaves to a flag is no mistake.
    """
    layer = _file(cls, path)
    left_open = {
        name: Path()
        for name, field in cls.model_fields.items()
        if field.is_required() and field.annotation is Path and name not in layer.values
    }
    _validated(cls, [layer, _Layer("left open", left_open, "{snake}")])


def _validated(cls: type[SettingsT], layers: Sequence[_Layer]) -> SettingsT:
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged |= {name: value for name, value in layer.values.items() if name != CONFIG}
    try:
        return cls(**merged)
    except ValidationError as error:
        sentences = [_explain(cls, layers, detail) for detail in error.errors()]
        raise ConfigError("; ".join(sentences)) from error


def _explain(cls: type[ServiceSettings], layers: Sequence[_Layer], detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    if detail["type"] == "missing":
        flag, variable = "--" + name.replace("_", "-"), cls.env_prefix() + name.upper()
        return f"{name} is required: give {flag}, {variable} or '{name}' in the settings file"
    layer = next((layer for layer in layers if name in layer.values), None)
    if layer is None:
        return f"{name}: {message}"
    got = "" if _is_secret(cls, name) else f", got {detail['input']!r}"
    return f"{layer.spell(name)} ({layer.source}): {message}{got}{_hint(detail['input'])}"


def _hint(value: object) -> str:
    # Kubernetes injects QUEEN_INFERENCE_PORT=tcp://... for a Service named queen-inference.
    linked = isinstance(value, str) and value.startswith("tcp://")
    return "; set enableServiceLinks: false in the pod" if linked else ""


def _flags(cls: type[ServiceSettings], argv: Sequence[str]) -> _Layer:
    parser = _parser(cls)
    values, unknown = parser.parse_known_args(list(argv))
    known = ["--" + name.replace("_", "-") for name in (*cls.model_fields, CONFIG)]
    if unknown:
        raise ConfigError(_unknown(unknown[0].split("=")[0], known, "flag"))
    return _Layer("flag", vars(values), "--{kebab}")


def _environment(cls: type[ServiceSettings]) -> _Layer:
    prefix = cls.env_prefix()
    known = [prefix + name.upper() for name in (*cls.model_fields, CONFIG)]
    for variable in os.environ:
        if variable.startswith(prefix) and variable not in known:
            linked = re.search(r"_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)", "_" + variable)
            hint = "; set enableServiceLinks: false in the pod" if linked else ""
            raise ConfigError(_unknown(variable, known, "environment") + hint)
    try:
        values = EnvSettingsSource(cls)()
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from error
    return _Layer("environment", values, prefix + "{upper}")


def _file(cls: type[ServiceSettings], path: Path) -> _Layer:
    # An empty file, or one of comments alone, sets nothing.
    content = read_yaml(path) or {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}")
    for key in content:
        if key not in cls.model_fields:
            raise ConfigError(_unknown(str(key), cls.model_fields, str(path)))
    return _Layer(str(path), content, "{snake}")


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; ConfigError if it cannot be read or is not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{path}: expected YAML{place}, got something else") from error


def _unknown(key: str, known: Iterable[str], source: str) -> str:
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.0)
    return f"unknown key {key} ({source}); the closest that exists is {close[0]}"


class _Parser(argparse.ArgumentParser):
    """Reports mistakes as ConfigError instead of printing usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (flag)")


def _parser(cls: type[ServiceSettings]) -> argparse.ArgumentParser:
    prefix = cls.env_prefix()
    parser = _Parser(
        description=(f"Precedence: flag > environment ({prefix}PORT for --port) > file > default."),
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34),
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings.")
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else f"default: {field.default}"
        parser.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            default=argparse.SUPPRESS,
            help=f"{field.description or ''} ({default})".replace("%", "%%").strip(),
            **_flag_options(field.annotation),
        )
    return parser


def _flag_options(annotation: object) -> dict[str, Any]:
    if annotation is bool:
        return {"action": argparse.BooleanOptionalAction}
    names = {int: "N", float: "N", Path: "PATH"}
    choices = getattr(annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return {"metavar": "|".join(choices)}
    return {"metavar": next((text for kind, text in names.items() if annotation is kind), "VALUE")}


def _is_secret(cls: type[ServiceSettings], name: str) -> bool:
    return cls.model_fields[name].annotation is SecretStr


def _mask(value: object, dumped: Any) -> Any:
    if isinstance(dumped, str) and not isinstance(value, SecretStr):
        return re.sub(r"(://[^/@:]*:)[^/@]*@", r"\1***@", dumped)
    return dumped
