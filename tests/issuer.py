"""An issuer of tokens: its keys, its key file, and the tokens that it makes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://issuer.test"
AUDIENCE = "queen"
NOW = 1_800_000_000.0
KINDS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


@cache
def private_key(kind: str, name: str = "") -> Any:
    """A private key of a kind."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public_jwk(kind: str, key_id: str | None, name: str = "", **fields: str) -> dict[str, Any]:
    """The public half of a key, as an entry of a key set."""
    public = private_key(kind, name).public_key()
    algorithm = jwt.get_algorithm_by_name(KINDS[kind])
    entry = json.loads(algorithm.to_jwk(public))  # type: ignore[attr-defined]
    return {**entry, **({} if key_id is None else {"kid": key_id}), **fields}


def write_key_set(path: Path, *entries: dict[str, Any]) -> Path:
    """A key file, replaced as issuers do it."""
    draft = path.with_name("draft")
    draft.write_text(json.dumps({"keys": entries}))
    return draft.replace(path)


def token(
    kind: str = "rsa",
    key_id: str | None = "rsa",
    name: str = "",
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A token that is good unless the arguments spoil it; a claim of None is left out."""
    stated = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 60, **claims}
    return jwt.encode(
        {claim: value for claim, value in stated.items() if value is not None},
        private_key(kind, name),
        KINDS[kind],
        headers={**({} if key_id is None else {"kid": key_id}), **(headers or {})},
    )
