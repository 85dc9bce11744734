"""The accounts file, and a sentence for every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.accounts import AccountsFile, read_accounts
from queen.serving.auth import key_digest

ONE = key_digest("one")
TWO = key_digest("two")


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
    """The sentence names the entry and its fault, and repeats no value of the file."""
    file = tmp_path / "accounts.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        read_accounts(file)
    assert "\n" not in str(caught.value)
    assert "my-plain-key" not in str(caught.value)
    assert ONE not in str(caught.value)


def test_accounts_that_cannot_be_served_are_one_sentence_as_well(tmp_path: Path) -> None:
    """The file comes first in it: an operator has to know which one to mend."""
    file = tmp_path / "accounts.yaml"
    file.write_text(f"accounts: [{{id: a, key_sha256: {ONE}, budget: 8}}]")

    def check(accounts: AccountsFile) -> None:
        accounts.require_budgets(7)

    with pytest.raises(ConfigError, match="entry 1, budget: expected at most 7") as caught:
        read_accounts(file, check)
    assert str(caught.value).startswith(f"{file}: entry 1")
