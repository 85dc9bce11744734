"""The public keys that tokens are verified with: a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import jwt

from queen.errors import ConfigError
from queen.serving.lasting.followed import follow_config
from queen.serving.metrics import Metrics

ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
"""The algorithm for each kind of key (kty): asymmetric ones alone, so no key in the set signs."""
REREAD_SECONDS = 5.0
"""Least time between two readings of the file that unknown keys cause."""
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k", "oth")
_MOST_KEYS = 100
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True)
class PublicKey:
    """A key, and the only algorithm that it verifies."""

    algorithm: str
    key: Any


@dataclass(frozen=True)
class KeySet:
    """Public keys by their id; a set of one key may leave its id out."""

    keys: Mapping[str, PublicKey]

    def find(self, key_id: str | None) -> PublicKey | None:
        """The key of an id; without an id, the only key of a set of one."""
        if key_id is not None:
            return self.keys.get(key_id)
        return next(iter(self.keys.values())) if len(self.keys) == 1 else None


class FollowedKeySet:
    """The key set of a file, which is followed; `look` soon sees a key that the issuer adds.

    `timer` is a clock in seconds that never goes back. Raises ConfigError for a file that holds no
    key set.
    """

    def __init__(
        self, path: Path, metrics: Metrics, timer: Callable[[], float] = monotonic
    ) -> None:
        self._path = path
        self._timer = timer
        self._look_at = -math.inf
        self.file = follow_config(path, "key_set", self._parse, metrics, timer)

    @property
    def in_force(self) -> KeySet:
        """The last good key set; the same object for as long as it stays."""
        return self.file.value.parsed

    def find(self, key_id: str | None) -> PublicKey | None:
        """The key of an id, None if there is none.

        The file is read again for an unknown key, at most once in 5 seconds: anybody can send one.
        """
        key, now = self.in_force.find(key_id), self._timer()
        if key is None and now >= self._look_at:
            self._look_at = now + REREAD_SECONDS
            self.file.fresh(closely=True)
            key = self.in_force.find(key_id)
        return key

    def _parse(self, content: bytes) -> KeySet:
        try:
            return parse_key_set(content)
        except ConfigError as error:
            raise ConfigError(f"{self._path}: {error}") from error


def parse_key_set(content: bytes) -> KeySet:
    """The signature keys in a JWKS; ConfigError if there is none, or if a key must not be there.

    Keys for other uses, algorithms and curves are left out. A symmetric or private key is refused:
    whoever reads the file could make tokens with it.
    """
    try:
        stated = json.loads(content)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            'expected a JSON Web Key Set, {"keys": [...]}, got another text'
        ) from error
    if not isinstance(stated, list) or not all(isinstance(key, dict) for key in stated):
        raise ConfigError("expected a list of keys in the JSON Web Key Set, got something else")
    if len(stated) > _MOST_KEYS:
        raise ConfigError(f"expected at most {_MOST_KEYS} keys, got {len(stated)}")
    keys: dict[str, PublicKey] = {}
    for position, entry in enumerate(stated, 1):
        key_id = entry.get("kid", "")
        if not isinstance(key_id, str) or key_id in keys:
            raise ConfigError(f"key {position}: expected a kid of its own, got none or another's")
        key = _public_key(entry, position)
        if key is not None:
            keys[key_id] = key
    if not keys:
        raise ConfigError(
            f"expected a signature key for {', '.join(ALGORITHMS.values())}, got none"
        )
    if "" in keys and len(keys) > 1:
        raise ConfigError("expected a kid for each of several keys, got one without")
    return KeySet(keys)


def _public_key(entry: Mapping[str, Any], position: int) -> PublicKey | None:
    kind = entry.get("kty")
    if any(part in entry for part in _PRIVATE):
        raise ConfigError(f"key {position}: expected a public key, got one that can sign")
    algorithm = ALGORITHMS.get(str(kind))
    if (
        algorithm is None
        or entry.get("use", "sig") != "sig"
        or entry.get("alg", algorithm) != algorithm
        or entry.get("crv") != _CURVES.get(str(kind))
    ):
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise ConfigError(
            f"key {position}: expected a {algorithm} key, got a broken one"
        ) from error
    if kind == "RSA" and key.key_size < _LEAST_RSA_BITS:
        raise ConfigError(
            f"key {position}: expected at least {_LEAST_RSA_BITS} bits, got {key.key_size}"
        )
    return PublicKey(algorithm, key)
