"""The secret that keys the draw of shadow models, the decoy and the partner classes."""

from __future__ import annotations

from pathlib import Path

from queen.errors import ConfigError

SHORTEST_SECRET = 16
"""Bytes: 128 bits, beyond any search."""


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
