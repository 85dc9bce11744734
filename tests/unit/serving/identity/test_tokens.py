"""Tokens, and a reason for every token that is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queen.errors import Unauthenticated
from queen.method.contracts import Profile
from queen.serving.accounts import AccountsFile
from queen.serving.auth import Keyring
from queen.serving.identity.key_set import FollowedKeySet
from queen.serving.identity.tokens import TokenRules, TokenVerifier
from queen.serving.metrics import Metrics
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    KINDS,
    NOW,
    private_key,
    public_jwk,
    token,
    write_key_set,
)

RULES = TokenRules(ISSUER, AUDIENCE, skew_seconds=30, group_claim="org", tier_claim="plan")


class Desk:
    """A verifier with a clock that a test turns."""

    def __init__(self, folder: Path, rules: TokenRules = RULES) -> None:
        self.now = NOW
        self.path = write_key_set(folder / "jwks.json", *(public_jwk(kind, kind) for kind in KINDS))
        self.keys = FollowedKeySet(self.path, Metrics(), lambda: self.now)
        self.tokens = TokenVerifier(rules, self.keys, lambda: self.now)

    def reason(self, text: str) -> str:
        """Why a token is refused."""
        with pytest.raises(Unauthenticated) as caught:
            self.tokens.verify(text)
        assert "SECRET" not in str(caught.value)
        return caught.value.reason


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The three kinds of key."""
    return Desk(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_token_says_whose_it_is(desk: Desk, kind: str) -> None:
    """With each algorithm; account, group and tier are the claims that the rules name."""
    for _ in ("verified", "remembered"):
        subject = desk.tokens.verify(token(kind, kind, org="acme & sons", plan="gold"))
        assert (subject.name, subject.group, subject.tier) == ("alice", "acme & sons", "gold")
    plain = desk.tokens.verify(token(kind, kind, aud=["other", AUDIENCE]))
    assert (plain.name, plain.group, plain.tier) == ("alice", None, None)


def test_the_account_may_be_another_claim(tmp_path: Path) -> None:
    """Where the issuer's subjects are not the names of accounts."""
    desk = Desk(tmp_path, replace(RULES, account_claim="client_id"))
    assert desk.tokens.verify(token(client_id="web", sub=None)).name == "web"
    assert desk.reason(token()) == "TOKEN_CLAIM"


def part(content: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def unsigned() -> str:
    """A token of the algorithm `none`."""
    return jwt.encode({"sub": "alice"}, "", "none", headers={"kid": "rsa"})


def symmetric() -> str:
    """A token signed with the public key as if it were a secret."""
    secret = public_jwk("rsa", "rsa")["n"].encode()
    return jwt.encode({"sub": "SECRET"}, secret, "HS256", headers={"kid": "rsa"})


def edited() -> str:
    """A good token with the claims of another account."""
    head, _, signature = token().split(".")
    return ".".join([head, part({"sub": "SECRET", "exp": NOW + 60}), signature])


REFUSED: dict[str, list[Callable[[], str]]] = {
    "TOKEN_MALFORMED": [
        lambda: "",
        lambda: "SECRET",
        lambda: "a.b.c",
        lambda: "x" * 8193,
        lambda: f"{part([])}.e30.",
        lambda: f"{part({'alg': 'RS256', 'kid': 7})}.e30.aa",
        lambda: token(headers={"crit": ["b64"], "b64": False}),
        lambda: token(headers={"crit": ["exp"]}),
    ],
    "TOKEN_ALGORITHM": [unsigned, symmetric, lambda: token("rsa", "ec"), lambda: token("ec", "ed")],
    "TOKEN_KEY_UNKNOWN": [lambda: token(key_id="other"), lambda: token(key_id=None)],
    "TOKEN_SIGNATURE": [
        edited,
        lambda: token(name="foreign"),
        lambda: token("ec", "ec", "foreign"),
    ],
    "TOKEN_ISSUER": [lambda: token(iss="https://SECRET.test"), lambda: token(iss=None)],
    "TOKEN_AUDIENCE": [
        lambda: token(aud="SECRET"),
        lambda: token(aud=None),
        lambda: token(aud=[]),
    ],
    "TOKEN_CLAIM": [
        lambda: token(exp=None),
        lambda: token(exp=1e300),
        lambda: token(sub=None),
        lambda: token(sub=""),
        lambda: token(sub="x" * 257),
        lambda: token(org=["SECRET"]),
        lambda: token(plan=7),
    ],
    "CREDENTIAL_EXPIRED": [lambda: token(exp=NOW - 30), lambda: token(exp=0)],
    "TOKEN_TOO_EARLY": [lambda: token(nbf=NOW + 31)],
}


@pytest.mark.parametrize(
    ("reason", "make"), [(reason, make) for reason, makes in REFUSED.items() for make in makes]
)
def test_each_fault_has_its_reason(desk: Desk, reason: str, make: Callable[[], str]) -> None:
    """The caller is told which, and nothing of the token is repeated."""
    assert desk.reason(make()) == reason


def test_clocks_may_differ_by_the_skew(desk: Desk) -> None:
    """Both ways; a remembered token expires like any other."""
    text = token(nbf=NOW + 29, exp=NOW + 60)
    assert desk.tokens.verify(text).name == "alice"
    desk.now = NOW + 60 + 29
    assert desk.tokens.verify(text).name == "alice"
    desk.now = NOW + 60 + 30
    assert desk.reason(text) == "CREDENTIAL_EXPIRED"


def test_a_key_that_is_gone_verifies_no_remembered_token(desk: Desk) -> None:
    """An issuer that withdraws a key means it."""
    text = token()
    desk.tokens.verify(text)
    write_key_set(desk.path, public_jwk("ec", "ec"))
    desk.keys.file.fresh()
    assert desk.reason(text) == "TOKEN_KEY_UNKNOWN"
    assert desk.tokens.verify(token("ec", "ec")).name == "alice"


def test_a_new_key_of_the_issuer_works_at_once(desk: Desk) -> None:
    """The file is read again for it; a token with the kid of another key stays refused."""
    fresh = token("ec", "fresh", "fresh")
    write_key_set(desk.path, public_jwk("ec", "fresh", "fresh"))
    assert desk.tokens.verify(fresh).name == "alice"


def test_few_tokens_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first, and verified again if it comes again."""
    monkeypatch.setattr("queen.serving.identity.tokens.REMEMBERED_TOKENS", 2)
    texts = [token("ec", "ec", jti=str(number)) for number in range(5)]
    for text in [*texts, *texts]:
        assert desk.tokens.verify(text).name == "alice"
    assert len(desk.tokens) == 2


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_edit_of_a_token_makes_it_another_accounts(desk: Desk, data: st.DataObject) -> None:
    """Any text is either refused, as itself, or it says what the issuer signed."""
    good = token("ed", "ed")
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    text = good[:start] + data.draw(st.text(max_size=40)) + good[end:]
    try:
        told = desk.tokens.verify(text).name
    except Unauthenticated as error:
        told = error.reason
    assert told == "alice" or told.startswith(("TOKEN_", "CREDENTIAL_"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=4), parts),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "org", "plan", "iat", "jti"]), _JSON
    ),
    st.dictionaries(st.sampled_from(["typ", "cty", "jku", "x5u", "jwk", "zip", "crit"]), _JSON),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_signature_excuses_no_odd_claim(
    desk: Desk, claims: dict[str, Any], headers: dict[str, Any]
) -> None:
    """Whatever an issuer signs is a subject of plain texts and times, or refused."""
    head = {"alg": "EdDSA", "kid": "ed", **headers}
    signed = f"{part(head)}.{part({'iss': ISSUER, 'aud': AUDIENCE, 'exp': NOW + 9, **claims})}"
    signature = private_key("ed").sign(signed.encode())
    text = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    try:
        subject = desk.tokens.verify(text)
    except Unauthenticated:
        return
    assert isinstance(subject.name, str)
    assert all(isinstance(name, str | None) for name in (subject.group, subject.tier))
    assert subject.not_before <= NOW < subject.expires


def test_a_remembered_token_is_known_without_its_signature(desk: Desk, tmp_path: Path) -> None:
    """A keyring is quick with keys and with tokens that it has verified, and with no others."""
    keyring = Keyring(AccountsFile(accounts=[]), Profile.SAFE, tokens=desk.tokens)
    good = token()
    first = (("user-agent", "any"), ("authorization", f"Bearer {good}"))
    assert not desk.tokens.remembers(good)
    assert not keyring.is_quick(first)
    desk.tokens.verify(good)
    assert keyring.is_quick(first)
    assert keyring.is_quick((("authorization", "Bearer key"),))
    assert keyring.is_quick(())
    assert Keyring(AccountsFile(accounts=[]), Profile.SAFE).is_quick(first)
