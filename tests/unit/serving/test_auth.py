"""Accounts and their keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from queen.errors import ConfigError, Unauthenticated
from queen.method.contracts import Profile
from queen.serving.auth import Keyring, key_digest, read_accounts, watched_keyring
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
    return Keyring(read_accounts(write(tmp_path, text)))


def test_a_key_finds_its_account_with_its_policy(keyring: Keyring) -> None:
    """The account of a key carries the profile and the budget of the file, the next none."""
    account = keyring.authenticate(bearer("one"))
    assert (account.account_id, account.profile, account.budget) == ("a", Profile.SAFE, 7)
    other = keyring.authenticate([("authorization", "bearer  two")])
    assert (other.account_id, other.profile, other.budget) == ("b", None, None)


def test_accounts_of_a_group_carry_its_budget(tmp_path: Path) -> None:
    """The budget stands once, with the group; a group without an entry takes the service's."""
    text = f"groups: [{{id: acme & sons, budget: 300}}]\naccounts:\n- {{id: a, key_sha256: {ONE}, "
    text += f"group: acme & sons}}\n- {{id: b, key_sha256: {TWO}, group: other}}\n"
    keyring = Keyring(read_accounts(write(tmp_path, text)))
    first, second = (keyring.authenticate(bearer(key)) for key in ("one", "two"))
    assert (first.group, first.group_budget, first.budget) == ("acme & sons", 300, None)
    assert (second.group, second.group_budget) == ("other", None)


def test_an_account_without_a_group_has_none(keyring: Keyring) -> None:
    """Nobody's accounts are charged together unless the file says so."""
    account = keyring.authenticate(bearer("one"))
    assert (account.group, account.group_budget) == (None, None)


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


def test_the_memory_for_credentials_is_bounded(keyring: Keyring) -> None:
    """A key sent in a thousand spellings is not remembered a thousand times."""
    for spaces in range(1000):
        keyring.authenticate(bearer(" " * spaces + "one"))
    assert len(keyring._by_header) <= 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accounts: [", "YAML"),
        ("", "accounts"),
        ("users: []", "accounts"),
        (f"accounts: [{{id: '', key_sha256: {ONE}}}]", "entry 1, id"),
        (f"accounts: [{{id: 'a b', key_sha256: {ONE}}}]", "entry 1, id"),
        ("accounts: [{id: a, key_sha256: my-plain-key}]", "entry 1, key_sha256"),
        (f"accounts: [{{id: a, key_sha256: {ONE}, budget: 0}}]", "entry 1, budget"),
        (f"accounts: [{{id: a, key_sha256: {ONE}, profile: nice}}]", "entry 1, profile"),
        (f"accounts: [{{id: a, key_sha256: {ONE}, colour: red}}]", "entry 1, colour"),
        (
            f"accounts: [{{id: a, key_sha256: {ONE}}}, {{id: a, key_sha256: {TWO}}}]",
            "entries 1 and 2 have the same id",
        ),
        (
            f"accounts: [{{id: a, key_sha256: {ONE}}}, {{id: b, key_sha256: {ONE.upper()}}}]",
            "entries 1 and 2 have the same key_sha256",
        ),
        (f"accounts: [{{id: a, key_sha256: {ONE}, group: ''}}]", "entry 1, group"),
        (f"accounts: [{{id: a, key_sha256: {ONE}, group: {'g' * 257}}}]", "entry 1, group"),
        (f'accounts: [{{id: a, key_sha256: {ONE}, group: "a\\nb"}}]', "entry 1, group"),
        ("accounts: []\ngroups: [{id: g}]", "groups, entry 1, budget"),
        ("accounts: []\ngroups: [{id: g, budget: 0}]", "groups, entry 1, budget"),
        ("accounts: []\ngroups: [{id: g, budget: 4294967296}]", "groups, entry 1, budget"),
        (f"accounts: []\ngroups: [{{id: {'g' * 257}, budget: 1}}]", "groups, entry 1, id"),
        ("accounts: []\ngroups: [{id: g, budget: 1, profile: safe}]", "groups, entry 1, profile"),
        ("accounts: []\ngroups: g", r"groups: .*groups: \[{id, budget}\]"),
        (
            "accounts: []\ngroups: [{id: g, budget: 1}, {id: h, budget: 1}, {id: g, budget: 2}]",
            "entries 1 and 3 have the same group id",
        ),
    ],
)
def test_a_wrong_accounts_file_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    """What is wrong and where is said, and no value of the file is repeated."""
    with pytest.raises(ConfigError, match=words) as caught:
        read_accounts(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "my-plain-key" not in str(caught.value)
    assert ONE not in str(caught.value)


async def test_keys_are_swapped_while_serving_and_a_bad_file_is_not_taken(tmp_path: Path) -> None:
    """A new key works and the old one stops; after a broken file the last good one stays."""
    file = write(tmp_path, f"accounts: [{{id: a, key_sha256: {ONE}}}]")
    metrics = Metrics()

    def loads(result: str) -> float:
        return metrics.registry.get_sample_value("config_load_total", {"result": result}) or 0

    async def until(result: str, count: int) -> None:
        async with asyncio.timeout(10):
            while loads(result) < count:
                await asyncio.sleep(0.02)

    async with watched_keyring(file, metrics) as keyring:
        assert keyring.authenticate(bearer("one")).account_id == "a"
        await asyncio.sleep(0.2)
        write(tmp_path, f"accounts: [{{id: a, key_sha256: {TWO}}}]")
        await until("success", 2)
        assert keyring.authenticate(bearer("two")).account_id == "a"
        with pytest.raises(Unauthenticated):
            keyring.authenticate(bearer("one"))
        write(tmp_path, "accounts: [{id: broken}]")
        await until("failure", 1)
        assert keyring.authenticate(bearer("two")).account_id == "a"


def test_an_account_may_be_exempt(tmp_path: Path) -> None:
    """Only if the file says so; another value than true or false is refused."""
    file = tmp_path / "accounts.yaml"
    entries = [
        {"id": name, "key_sha256": key_digest(name), **policy}
        for name, policy in (("a", {"exempt": True}), ("b", {"exempt": False}), ("c", {}))
    ]
    file.write_text(json.dumps({"accounts": entries}))
    keyring = Keyring(read_accounts(file))
    found = [keyring.authenticate([("authorization", f"Bearer {name}")]) for name in "abc"]
    assert [account.is_exempt for account in found] == [True, False, False]
    file.write_text(json.dumps({"accounts": [{**entries[0], "exempt": "sometimes"}]}))
    with pytest.raises(ConfigError, match="entry 1, exempt"):
        read_accounts(file)
