"""The secrets that key the draw of shadow models, the decoy and the partner classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from queen.errors import ConfigError
from queen.method.answers.fingerprint import fingerprint_of

SHORTEST_SECRET = 16
"""Bytes: 128 bits, beyond any search."""


@dataclass(frozen=True)
class Secrets:
    """The secret that keys new owners' answers, and the one before it, if that has not retired."""

    current: bytes = field(repr=False)
    retiring: bytes | None = field(default=None, repr=False)

    @cached_property
    def by_fingerprint(self) -> dict[int, bytes]:
        """The secrets by their fingerprints, the current one first."""
        held = [self.current] if self.retiring is None else [self.current, self.retiring]
        return {fingerprint_of(secret): secret for secret in held}

    @property
    def fingerprints(self) -> list[int]:
        """Fingerprints of the secrets, the current one first."""
        return list(self.by_fingerprint)


def read_secrets(current: Path, retiring: Path | None = None) -> Secrets:
    """The secrets of two files; ConfigError, without a byte of them, if one cannot be used.

    No secret retires while its file is missing or empty.
    """
    secret, old = read_secret(current), _read_retiring(retiring)
    if old is not None and old != secret and fingerprint_of(old) == fingerprint_of(secret):
        raise ConfigError(
            f"secret files {current} and {retiring}: expected two fingerprints, got one for two "
            "secrets, by a rare chance; make another secret"
        )
    return Secrets(secret, None if old == secret else old)


def read_secret(file: Path, *, hint: str = "") -> bytes:
    """The bytes of `file`; ConfigError, without a byte of it, if it is missing or too short.

    `hint` says how to mend it; by default it is the way to make a secret.
    """
    hint = hint or f"make one with: head -c 32 /dev/urandom > {file}"
    try:
        secret = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read secret file {file}: {error.strerror}; {hint}") from error
    if len(secret) < SHORTEST_SECRET:
        raise ConfigError(
            f"secret file {file}: expected at least {SHORTEST_SECRET} bytes, "
            f"got {len(secret)}; {hint}"
        )
    return secret


def _read_retiring(file: Path | None) -> bytes | None:
    try:
        if file is None or not file.stat().st_size:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read secret file {file}: {error.strerror}") from error
    return read_secret(file, hint="put the former secret there, or remove the file")
