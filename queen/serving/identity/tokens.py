"""Tokens: JSON Web Tokens (RFC 7519) of one issuer, verified with the keys of a file."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any

import jwt

from queen.errors import Unauthenticated
from queen.owners import LONGEST_NAME
from queen.serving.identity.key_set import ALGORITHMS, FollowedKeySet, PublicKey

LONGEST_TOKEN = 8192
"""Characters of the longest token that is read."""
REMEMBERED_TOKENS = 4096
"""Tokens whose verified claims are remembered by their digest; the oldest is forgotten first."""


@dataclass(frozen=True)
class TokenRules:
    """The tokens that are accepted, and the claims that say whose they are."""

    issuer: str
    audience: str
    skew_seconds: float = 30.0
    """Largest difference between the clocks of the issuer and this process."""
    account_claim: str = "sub"
    group_claim: str | None = None
    tier_claim: str | None = None


@dataclass(frozen=True)
class Subject:
    """The holder of a verified token: its account's name there, its group and tier if claimed."""

    name: str
    group: str | None
    tier: str | None
    not_before: float
    """Seconds since the epoch before which the token does not work yet, skew included."""
    expires: float
    """Seconds since the epoch from which the token no longer works, skew included."""

    def require_current(self, now: float) -> None:
        """Unauthenticated outside of the token's time."""
        if now >= self.expires:
            raise Unauthenticated(
                "expected a token that has not expired, got an expired one; get a new one",
                reason="CREDENTIAL_EXPIRED",
            )
        if now < self.not_before:
            raise Unauthenticated(
                "expected a token that works already, got one for later", reason="TOKEN_TOO_EARLY"
            )


class TokenVerifier:
    """Verifies tokens with the key set in force; every refusal says why, and repeats nothing.

    `clock` is in seconds since the epoch.
    """

    def __init__(
        self, rules: TokenRules, keys: FollowedKeySet, clock: Callable[[], float] = time
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._clock = clock
        self._verified_with = keys.in_force
        self._remembered: OrderedDict[bytes, Subject] = OrderedDict()

    def __len__(self) -> int:
        """Tokens that are remembered."""
        return len(self._remembered)

    def remembers(self, token: str) -> bool:
        """Whether `verify` needs to verify no signature for a token."""
        return self._verified_with is self._keys.in_force and _digest(token) in self._remembered

    def verify(self, token: str) -> Subject:
        """The subject of a token; Unauthenticated, with a reason of its own, for any other text."""
        if len(token) > LONGEST_TOKEN:
            raise _malformed()
        if self._verified_with is not self._keys.in_force:
            # The key that a remembered token was verified with may be gone.
            self._verified_with = self._keys.in_force
            self._remembered.clear()
        digest = _digest(token)
        subject = self._remembered.get(digest)
        if subject is None:
            subject = self._subject(_claims(token, self._key_of(token)))
            if len(self._remembered) >= REMEMBERED_TOKENS:
                self._remembered.popitem(last=False)
            self._remembered[digest] = subject
        subject.require_current(self._clock())
        return subject

    def _key_of(self, token: str) -> PublicKey:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _malformed() from error
        key_id = header.get("kid")
        if "crit" in header or not isinstance(key_id, str | None):
            raise _malformed()
        if header.get("alg") not in ALGORITHMS.values():
            raise _wrong_algorithm()
        key = self._keys.find(key_id)
        if key is None:
            raise Unauthenticated(
                "expected a token signed by a known key, got another", reason="TOKEN_KEY_UNKNOWN"
            )
        if header["alg"] != key.algorithm:
            raise _wrong_algorithm()
        return key

    def _subject(self, claims: Mapping[str, Any]) -> Subject:
        rules = self._rules
        if claims.get("iss") != rules.issuer:
            raise Unauthenticated(
                "expected a token of this service's issuer, got another's", reason="TOKEN_ISSUER"
            )
        audience = claims.get("aud")
        if rules.audience not in (audience if isinstance(audience, list) else [audience]):
            raise Unauthenticated(
                "expected a token for this service, got one for another audience",
                reason="TOKEN_AUDIENCE",
            )
        name = _text(claims, rules.account_claim)
        expires = _moment(claims, "exp")
        if name is None or expires is None:
            raise _wrong_claim("exp" if expires is None else rules.account_claim)
        not_before = _moment(claims, "nbf")
        return Subject(
            name,
            _text(claims, rules.group_claim),
            _text(claims, rules.tier_claim),
            -math.inf if not_before is None else not_before - rules.skew_seconds,
            expires + rules.skew_seconds,
        )


def _digest(token: str) -> bytes:
    """The name of a token in memory, which holds no token: a digest opens nothing."""
    return hashlib.sha256(token.encode()).digest()


def _claims(token: str, key: PublicKey) -> Mapping[str, Any]:
    """The claims of a token whose signature is good; what they say is not checked here."""
    signature_alone = {
        "verify_signature": True,
        **dict.fromkeys(
            (
                *("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"),
                *("verify_sub", "verify_jti"),
            ),
            False,
        ),
    }
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            options=signature_alone,  # type: ignore[arg-type] # a TypedDict of the same names
        )
    except jwt.InvalidSignatureError as error:
        raise Unauthenticated(
            "expected a token with the signature of its issuer, got another signature",
            reason="TOKEN_SIGNATURE",
        ) from error
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise _malformed() from error
    return claims


def _text(claims: Mapping[str, Any], claim: str | None) -> str | None:
    """The text of a claim; None if it is not there."""
    if claim is None or claims.get(claim) is None:
        return None
    value = claims[claim]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise _wrong_claim(claim)
    return value


def _moment(claims: Mapping[str, Any], claim: str) -> float | None:
    """The seconds since the epoch of a claim; None if it is not there."""
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise _wrong_claim(claim)
    return float(value)


def _wrong_algorithm() -> Unauthenticated:
    return Unauthenticated(
        f"expected a token signed with {', '.join(ALGORITHMS.values())}, as its key says, "
        "got another algorithm",
        reason="TOKEN_ALGORITHM",
    )


def _wrong_claim(claim: str) -> Unauthenticated:
    return Unauthenticated(
        f"expected a token with the claim '{claim}', got none or another kind of value",
        reason="TOKEN_CLAIM",
    )


def _malformed() -> Unauthenticated:
    return Unauthenticated(
        "expected a signed JSON Web Token of at most "
        f"{LONGEST_TOKEN} characters, got something else",
        reason="TOKEN_MALFORMED",
    )
