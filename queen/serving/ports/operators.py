"""The operators who may call the admin API: a file with their names, roles and credentials."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from queen.errors import ConfigError, PermissionDenied, Unauthenticated
from queen.serving.lasting.followed import follow_config
from queen.serving.metrics import Metrics
from queen.serving.ports.callers import names_of
from queen.serving.yaml_file import parse_yaml, read_yaml

OPERATOR_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
_SCHEME = "bearer "
_FORM = "'operators: [{name, role: read or act, key_sha256 or san}]'"


class Role(StrEnum):
    """The calls that an operator may make: those that change nothing, or all."""

    READ = "read"
    ACT = "act"


class OperatorEntry(BaseModel):
    """An operator, by the digest of a key, by a name of a certificate, or by both."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=f"^{OPERATOR_NAME}$")
    """The actor that the audit names."""
    role: Role
    """Whether the operator may change anything."""
    key_sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")
    """Hex SHA-256 of the key; the key itself is stored nowhere."""
    san: str | None = Field(None, min_length=1)
    """A subject alternative name of the operator's certificate."""

    @model_validator(mode="after")
    def _require_credential(self) -> Self:
        if self.key_sha256 is None and self.san is None:
            raise ValueError("expected key_sha256, san or both, got none")
        return self


class OperatorsFile(BaseModel):
    """The content of operators.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operators: list[OperatorEntry]


@dataclass(frozen=True)
class Operator:
    """The operator who makes a call of the admin API."""

    name: str
    role: Role

    @property
    def hash(self) -> str:
        """The name: the audit shows it, so it is no secret."""
        return self.name


class Operators:
    """Admits calls of the operators in a file, which may change at any time.

    `reading` are the methods that change nothing; any other needs the role `act`.
    """

    def __init__(self, path: Path, reading: Container[str], metrics: Metrics) -> None:
        self._reading = reading
        self._file = follow_config(
            path, "operators", lambda content: parse_operators(content, path), metrics
        )

    def admit(self, method: str, context: Any) -> Operator:
        """The operator who makes a call of `method`.

        Raises Unauthenticated for a caller without a credential of an operator, and
        PermissionDenied for one whose role is too small.
        """
        operator = self._operator(context)
        if method not in self._reading and operator.role is not Role.ACT:
            raise PermissionDenied(
                f"expected an operator with the role act for {method}, got one with the role "
                f"{operator.role}",
                reason="ROLE_TOO_SMALL",
            )
        return operator

    def _operator(self, context: Any) -> Operator:
        # A look at each call: calls are rare, and no task can end in silence.
        entries = self._file.fresh().parsed.operators
        header = _authorization(context.invocation_metadata() or ())
        if header is not None:
            digest = operator_digest(header)
            for entry in entries:
                if entry.key_sha256 and hmac.compare_digest(entry.key_sha256.lower(), digest):
                    return Operator(entry.name, entry.role)
            raise Unauthenticated(
                "expected the key of an operator, got another", reason="CREDENTIAL_UNKNOWN"
            )
        names = names_of(context)
        for entry in entries:
            if entry.san in names:
                return Operator(entry.name, entry.role)
        raise Unauthenticated(
            "expected metadata 'authorization: Bearer KEY' with the key of an operator, or an "
            "operator's certificate, got neither",
            reason="CREDENTIAL_MISSING",
        )


def operator_digest(key: str) -> str:
    """Hex SHA-256 of a key, as operators.yaml holds it."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_operators(path: Path) -> OperatorsFile:
    """Parse and check operators.yaml; ConfigError says in one sentence what is wrong.

    No message repeats a value of the file: a key written there by mistake stays unlogged.
    """
    return _checked(read_yaml(path), path)


def parse_operators(content: bytes, path: Path) -> OperatorsFile:
    """`read_operators` for a content that was read from `path`."""
    return _checked(parse_yaml(content, path), path)


def _checked(content: Any, path: Path) -> OperatorsFile:
    try:
        parsed = OperatorsFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ", ".join(str(step + 1 if isinstance(step, int) else step) for step in first["loc"])
        raise ConfigError(
            f"{path}: {where + ': ' if where else ''}{first['msg']}; expected {_FORM}; 'queen "
            "accounts operator NAME' makes an entry"
        ) from error
    for field in ("name", "key_sha256", "san"):
        _require_distinct(path, field, [getattr(entry, field) for entry in parsed.operators])
    return parsed


def _authorization(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The key of the first `authorization` header of the scheme Bearer."""
    for name, value in metadata:
        if name == "authorization" and str(value)[: len(_SCHEME)].lower() == _SCHEME:
            return str(value)[len(_SCHEME) :].strip()
    return None


def _require_distinct(path: Path, field: str, values: Iterable[str | None]) -> None:
    stated = [value.lower() for value in values if value is not None]
    if len(set(stated)) < len(stated):
        raise ConfigError(f"{path}: expected each {field} once, got one of them again")
