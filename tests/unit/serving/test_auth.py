"""Credentials and their accounts."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queen.errors import ConfigError, PermissionDenied, Unauthenticated
from queen.method.contracts import Profile
from queen.method.crossing import UNSTATED, CrossingPolicy
from queen.serving.accounts import read_accounts
from queen.serving.auth import Account, Keyring, key_digest

ONE = key_digest("one")
TWO = key_digest("two")


def write(folder: Path, text: str) -> Path:
    """An accounts file, replaced as editors do it."""
    file, draft = folder / "accounts.yaml", folder / ".draft"
    draft.write_text(text)
    draft.replace(file)
    return file


def bearer(key: str) -> list[tuple[str, str | bytes]]:
    """Metadata with a credential."""
    return [("user-agent", "test"), ("authorization", f"Bearer {key}")]


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """Two accounts."""
    text = f"accounts: [{{id: a, key_sha256: {ONE}, profile: safe, budget: 7}}, "
    text += f"{{id: b, key_sha256: {TWO.upper()}}}]"
    return Keyring(read_accounts(write(tmp_path, text)), Profile.STRICT)


def test_a_key_finds_its_account_with_its_policy(keyring: Keyring) -> None:
    """The account of a key carries the profile and the budget of the file, or the default."""
    account = keyring.authenticate(bearer("one"))
    assert (account.account_id, account.profile, account.crossing) == (
        *("a", Profile.SAFE),
        CrossingPolicy(7),
    )
    other = keyring.authenticate([("authorization", "bearer  two")])
    assert (other.account_id, other.profile, other.crossing) == ("b", Profile.STRICT, UNSTATED)


def test_accounts_of_a_group_carry_its_policy(tmp_path: Path) -> None:
    """The policy stands once, with the group; a group without an entry takes the service's."""
    text = "groups: [{id: acme & sons, budget: 300, breadth: 2}]\n"
    text += f"accounts:\n- {{id: a, key_sha256: {ONE}, "
    text += f"group: acme & sons}}\n- {{id: b, key_sha256: {TWO}, group: other}}\n"
    keyring = Keyring(read_accounts(write(tmp_path, text)), Profile.STRICT)
    first, second = (keyring.authenticate(bearer(key)) for key in ("one", "two"))
    assert (first.group, first.crossing) == ("acme & sons", UNSTATED)
    assert first.group_crossing == CrossingPolicy(300, 2)
    assert (second.group, second.group_crossing) == ("other", UNSTATED)


def test_an_account_without_a_group_has_none(keyring: Keyring) -> None:
    """Accounts are charged together only if the file says so."""
    account = keyring.authenticate(bearer("one"))
    assert (account.group, account.group_crossing) == (None, UNSTATED)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        [("authorization", "")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer three")],
        [("authorization", "Basic one")],
        [("authorization", ONE)],
        [("authorization", f"Bearer {ONE}")],
        [("authorization", b"Bearer one")],
        [("x-authorization", "Bearer one")],
    ],
)
def test_anything_else_is_unauthenticated(
    keyring: Keyring, metadata: list[tuple[str, str | bytes]] | None
) -> None:
    """No header, another scheme, an unknown key and the digest itself open nothing."""
    with pytest.raises(Unauthenticated):
        keyring.authenticate(metadata)


def test_the_metadata_of_any_account_is_admitted(keyring: Keyring) -> None:
    """A hook that asks for a credential and charges nobody."""
    keyring.admit(bearer("two"))
    with pytest.raises(Unauthenticated):
        keyring.admit(bearer("three"))


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "CREDENTIAL_MISSING"),
        ([("authorization", "Basic one")], "CREDENTIAL_MISSING"),
        ([("authorization", "Bearer   ")], "CREDENTIAL_MISSING"),
        (bearer("three-secret"), "CREDENTIAL_UNKNOWN"),
        (bearer("aa.three-secret.cc"), "CREDENTIAL_UNKNOWN"),
    ],
)
def test_each_cause_has_a_reason_of_its_own(
    keyring: Keyring, metadata: list[tuple[str, str | bytes]] | None, reason: str
) -> None:
    """A token is an unknown key where no tokens are accepted; nothing of either is repeated."""
    with pytest.raises(Unauthenticated) as caught:
        keyring.authenticate(metadata)
    assert caught.value.reason == reason
    assert "three-secret" not in str(caught.value)


def test_two_keys_work_at_a_time_each_until_it_expires(tmp_path: Path) -> None:
    """To the second: callers change over while both work, without any failed request."""
    seconds = [0.0]
    midnight = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    text = "accounts:\n- id: a\n  keys:\n"
    text += f"  - {{sha256: {ONE}, expires: 2026-03-01}}\n  - {{sha256: {TWO}}}\n"
    accounts = read_accounts(write(tmp_path, text))
    keyring = Keyring(accounts, Profile.STRICT, clock=lambda: seconds[0])
    for now in (0.0, midnight - 1):
        seconds[0] = now
        found = [keyring.authenticate(bearer(key)).account_id for key in ("one", "two")]
        assert found == ["a", "a"]
    seconds[0] = midnight
    with pytest.raises(Unauthenticated, match="ask the operator") as caught:
        keyring.authenticate(bearer("one"))
    assert caught.value.reason == "CREDENTIAL_EXPIRED"
    assert keyring.authenticate(bearer("two")).account_id == "a"


def peer(*names: str) -> dict[str, list[bytes]]:
    """The auth context of a connection with a client certificate."""
    return {"x509_subject_alternative_name": [name.encode() for name in names]}


@pytest.fixture
def certified(tmp_path: Path) -> Keyring:
    """Two accounts by certificate, of which the first has a key as well."""
    text = f"accounts: [{{id: a, key_sha256: {ONE}, san: [a.acme.test, 'spiffe://acme/a']}}, "
    text += "{id: b, san: [b.acme.test], profile: safe}]"
    return Keyring(read_accounts(write(tmp_path, text)), Profile.STRICT)


def test_a_name_in_a_client_certificate_is_a_credential(certified: Keyring) -> None:
    """Any of the names that an account lists, exactly as it is listed."""
    assert certified.authenticate([], peer("a.acme.test")).account_id == "a"
    assert certified.authenticate(None, peer("other", "spiffe://acme/a")).account_id == "a"
    found = certified.authenticate((), peer("b.acme.test"))
    assert (found.account_id, found.profile) == ("b", Profile.SAFE)


def test_a_key_is_asked_before_a_certificate(certified: Keyring) -> None:
    """Whoever sends a key means its account, and a wrong key is not saved by a certificate."""
    assert certified.authenticate(bearer("one"), peer("b.acme.test")).account_id == "a"
    with pytest.raises(Unauthenticated):
        certified.authenticate(bearer("three"), peer("b.acme.test"))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["x.a.acme.test"], "CERTIFICATE_UNLISTED"),
        (["*.acme.test"], "CERTIFICATE_UNLISTED"),
        (["A.ACME.TEST"], "CERTIFICATE_UNLISTED"),
        (["a.acme.test", "b.acme.test"], "CERTIFICATE_AMBIGUOUS"),
    ],
)
def test_other_certificates_are_denied(certified: Keyring, names: list[str], reason: str) -> None:
    """They are genuine, and no account's; no name of theirs is repeated."""
    with pytest.raises(PermissionDenied) as caught:
        certified.authenticate(None, peer(*names))
    assert caught.value.reason == reason
    assert "acme" not in str(caught.value)


def test_a_certificate_without_names_is_no_credential(certified: Keyring) -> None:
    """Its common name does not count."""
    context = {"x509_common_name": [b"a.acme.test"], "transport_security_type": [b"ssl"]}
    with pytest.raises(Unauthenticated) as caught:
        certified.authenticate(None, context)
    assert caught.value.reason == "CREDENTIAL_MISSING"


def test_a_tier_decides_what_an_entry_does_not_state(tmp_path: Path) -> None:
    """Profile, budget, breadth and cap, each by itself."""
    text = "tiers: [{id: gold, profile: safe, budget: 300, breadth: 5}]\n"
    text += f"accounts: [{{id: a, key_sha256: {ONE}, tier: gold}}, "
    text += f"{{id: b, key_sha256: {TWO}, tier: gold, profile: paper, budget: 9, class_cap: 4}}]"
    keyring = Keyring(read_accounts(write(tmp_path, text)), Profile.STRICT)
    first, second = (keyring.authenticate(bearer(key)) for key in ("one", "two"))
    assert (first.profile, first.crossing) == (Profile.SAFE, CrossingPolicy(300, 5))
    assert (second.profile, second.crossing) == (Profile.PAPER, CrossingPolicy(9, 5, 4))


def test_an_account_may_be_exempt(tmp_path: Path) -> None:
    """Only if the file says so; another value than true or false is refused."""
    file = tmp_path / "accounts.yaml"
    entries = [
        {"id": name, "key_sha256": key_digest(name), **policy}
        for name, policy in (("a", {"exempt": True}), ("b", {"exempt": False}), ("c", {}))
    ]
    file.write_text(json.dumps({"accounts": entries}))
    keyring = Keyring(read_accounts(file), Profile.STRICT)
    accounts = [keyring.authenticate([("authorization", f"Bearer {name}")]) for name in "abc"]
    assert [account.is_exempt for account in accounts] == [True, False, False]
    file.write_text(json.dumps({"accounts": [{**entries[0], "exempt": "sometimes"}]}))
    with pytest.raises(ConfigError, match="entry 1, exempt"):
        read_accounts(file)


def test_no_key_stays_in_memory(keyring: Keyring) -> None:
    """The memory of the front door holds digests, which open nothing."""
    for spaces in range(10):
        keyring.authenticate(bearer(" " * spaces + "one"))
    assert b"one" not in pickle.dumps(keyring)
    assert ONE.encode() in pickle.dumps(keyring)


def test_a_group_is_one_owner() -> None:
    """Its accounts go together; an account is never confused with a group of its name."""
    one, two = (Account(name, Profile.PAPER, "hash", "acme") for name in ("one", "two"))
    assert one.owner == two.owner == "group acme"
    assert Account("acme", Profile.PAPER, "hash").owner == "acme"
