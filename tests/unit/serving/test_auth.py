"""Credentials and their accounts."""

from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path

import pytest

from queen.errors import ConfigError, Unauthenticated
from queen.method.contracts import Profile
from queen.method.crossing import UNSTATED, CrossingPolicy
from queen.serving.accounts import read_accounts
from queen.serving.auth import Keyring, key_digest, watched_keyring
from queen.serving.metrics import Metrics

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


async def test_keys_are_swapped_while_serving_and_a_bad_file_is_ignored(tmp_path: Path) -> None:
    """A new key works and the old one stops; after a broken file the last good one stays."""
    file = write(tmp_path, f"accounts: [{{id: a, key_sha256: {ONE}}}]")
    metrics = Metrics()

    def loads(result: str) -> float:
        return metrics.registry.get_sample_value("config_load_total", {"result": result}) or 0

    async def written(text: str, result: str) -> None:
        before = loads(result)
        async with asyncio.timeout(10):
            # Again and again: the watch may not have begun when the first is written.
            while loads(result) == before:
                write(tmp_path, text)
                await asyncio.sleep(0.05)

    async with watched_keyring(file, Profile.STRICT, metrics) as keyring:
        assert keyring.authenticate(bearer("one")).account_id == "a"
        await written(f"accounts: [{{id: a, key_sha256: {TWO}}}]", "success")
        assert keyring.authenticate(bearer("two")).account_id == "a"
        with pytest.raises(Unauthenticated):
            keyring.authenticate(bearer("one"))
        await written("accounts: [{id: broken}]", "failure")
        assert keyring.authenticate(bearer("two")).account_id == "a"


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
