"""The public keys of an issuer of tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from queen.errors import ConfigError
from queen.serving.identity.key_set import REREAD_SECONDS, FollowedKeySet, parse_key_set
from queen.serving.metrics import Metrics
from tests.issuer import KINDS, private_key, public_jwk, write_key_set


def jwks(*entries: Any) -> bytes:
    """The bytes of a key set."""
    return json.dumps({"keys": entries}).encode()


def test_each_kind_of_key_has_one_algorithm() -> None:
    """Whatever a token says: a key is never used in another way."""
    keys = parse_key_set(jwks(*(public_jwk(kind, kind) for kind in KINDS)))
    found = {kind: keys.find(kind) for kind in KINDS}
    assert {kind: key and key.algorithm for kind, key in found.items()} == KINDS
    assert keys.find("other") is None
    assert keys.find(None) is None


def test_a_set_of_one_key_needs_no_kid() -> None:
    """A token without one is verified with it."""
    keys = parse_key_set(jwks(public_jwk("ec", None)))
    assert keys.find(None) == keys.find("")
    assert keys.find("ec") is None


def test_keys_for_other_uses_are_left_out() -> None:
    """An issuer keeps keys for encryption, and for algorithms that are not accepted, in one set."""
    others = [
        public_jwk("rsa", "enc", use="enc"),
        public_jwk("rsa", "512", alg="RS512"),
        {"kty": "EC", "crv": "P-384", "kid": "384", "x": "", "y": ""},
        {"kty": "new", "kid": "new"},
    ]
    keys = parse_key_set(jwks(*others, public_jwk("ed", "ed", use="sig", alg="EdDSA")))
    assert list(keys.keys) == ["ed"]
    with pytest.raises(ConfigError, match="RS256, ES256, EdDSA, got none"):
        parse_key_set(jwks(*others))


def _private(key: Any, algorithm: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key))  # type: ignore[attr-defined]
    return entry


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Key Set"),
        (b"[]", "Key Set"),
        (b"[" * 100_000, "Key Set"),
        (b'{"keys": 3}', "list of keys"),
        (b'{"keys": [3]}', "list of keys"),
        (jwks(), "got none"),
        (jwks({"kty": "oct", "k": "c2VjcmV0"}), "key 1: expected a public key"),
        (jwks(_private(private_key("rsa"), "RS256")), "key 1: expected a public key"),
        (jwks(_private(ec.generate_private_key(ec.SECP256R1()), "ES256")), "one that can sign"),
        (jwks(public_jwk("rsa", "a"), public_jwk("ec", "a")), "key 2: expected a kid of its own"),
        (jwks(public_jwk("rsa", "a"), public_jwk("ec", None)), "got one without"),
        (jwks({**public_jwk("rsa", "a"), "kid": 7}), "key 1: expected a kid"),
        (jwks({"kty": "RSA", "kid": "a", "n": "AQAB"}), "key 1: expected a RS256 key"),
        (
            jwks({**public_jwk("rsa", "a"), "n": public_jwk("rsa", "a")["n"][:171]}),
            "at least 2048 bits, got 10",
        ),
        (jwks(*({"kid": str(number)} for number in range(101))), "at most 100 keys"),
    ],
)
def test_a_wrong_key_set_is_one_sentence(content: bytes, words: str) -> None:
    """Above all one with a key that could make tokens."""
    with pytest.raises(ConfigError, match=words) as caught:
        parse_key_set(content)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_looked_up_in_the_file_once_in_a_while(tmp_path: Path) -> None:
    """The issuer may have added it; whoever sends unknown keys all the time reads nothing."""
    seconds = [0.0]
    path = write_key_set(tmp_path / "jwks.json", public_jwk("rsa", "old"))
    keys = FollowedKeySet(path, Metrics(), lambda: seconds[0])
    assert keys.find("new") is None
    write_key_set(path, public_jwk("rsa", "old"), public_jwk("ec", "new"))
    seconds[0] = REREAD_SECONDS - 1
    assert keys.find("new") is None
    seconds[0] = REREAD_SECONDS
    assert keys.find("new") is not None
    write_key_set(path, public_jwk("ec", "new"))
    keys.file.fresh()
    assert keys.find("old") is None


def test_a_broken_key_file_is_named(tmp_path: Path) -> None:
    """At the start it is refused; later the last good keys stay."""
    path = tmp_path / "jwks.json"
    path.write_bytes(b"{}")
    with pytest.raises(ConfigError, match=r"jwks\.json: expected a JSON Web Key Set"):
        FollowedKeySet(path, Metrics())
    write_key_set(path, public_jwk("ec", "ec"))
    keys = FollowedKeySet(path, Metrics())
    path.write_bytes(b"{}")
    keys.file.fresh()
    assert keys.find("ec") is not None
