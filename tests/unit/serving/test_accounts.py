"""The accounts file, and a sentence for every mistake in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.serving.accounts import (
    AccountsFile,
    GroupEntry,
    TierEntry,
    parse_accounts,
    read_accounts,
)
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
        ("accounts: []\ngroups: [{id: g, breadth: 0}]", "groups, entry 1, breadth"),
        ("accounts: []\ngroups: [{id: g, class_cap: 0}]", "entry 1, class_cap: .*or off, got 0"),
        (f"accounts: [{{id: a, key_sha256: {ONE}, class_cap: none}}]", "entry 1, class_cap"),
        ("accounts: []\ngroups: [{id: g, budget: 0}]", "groups, entry 1, budget"),
        ("accounts: []\ngroups: [{id: g, budget: 4294967296}]", "groups, entry 1, budget"),
        (f"accounts: []\ngroups: [{{id: {'g' * 257}, budget: 1}}]", "groups, entry 1, id"),
        ("accounts: []\ngroups: [{id: g, budget: 1, profile: safe}]", "groups, entry 1, profile"),
        ("accounts: []\ngroups: g", r"groups: .*groups: \[{id, budget, breadth, class_cap}\]"),
        (
            "accounts: []\ngroups: [{id: g, budget: 1}, {id: h, budget: 1}, {id: g, budget: 2}]",
            "entries 1 and 3 have the same group id",
        ),
        ("accounts: [{id: a}]", "entry 1: key_sha256, keys, subject or san: .* got none"),
        (f"accounts: [{{id: a, key_sha256: {ONE}, keys: [{{sha256: {TWO}}}]}}]", "got both"),
        ("accounts: [{id: a, keys: []}]", "entry 1, keys"),
        (f"accounts: [{{id: a, keys: [{', '.join(['{sha256: x}'] * 3)}]}}]", "entry 1, keys"),
        ("accounts: [{id: a, keys: [{sha256: my-plain-key}]}]", "keys, entry 1, sha256"),
        (
            f"accounts: [{{id: a, keys: [{{sha256: {ONE}, expires: 2025-02-30}}]}}]",
            "keys, entry 1, expires",
        ),
        (
            f"accounts: [{{id: a, keys: [{{sha256: {ONE}, expires: '9999-12-31T23:00-14:00'}}]}}]",
            "keys, entry 1, expires: expected a time of the years 1 to 9999 in UTC",
        ),
        (
            f"accounts: [{{id: a, key_sha256: {ONE}}}, {{id: b, keys: [{{sha256: {ONE}}}]}}]",
            "entries 1 and 2 have the same key_sha256",
        ),
        (
            "accounts: [{id: a, subject: s}, {id: b, subject: s}]",
            "entries 1 and 2 have the same subject",
        ),
        ("accounts: [{id: a, san: [n]}, {id: b, san: [m, n]}]", "entries 1 and 2 .* same san"),
        ("accounts: [{id: a, san: []}]", "entry 1, san"),
        ("accounts: [{id: a, san: [n], tier: t}]", "entry 1, tier: expected a tier of the file"),
        ("accounts: []\ntiers: [{id: t}, {id: t}]", "entries 1 and 2 have the same tier id"),
        ("accounts: []\ntiers: [{id: t, exempt: true}]", "tiers, entry 1, exempt"),
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


def test_a_class_cap_is_held_to_the_room_for_its_budget(tmp_path: Path) -> None:
    """As many budgets as regions have room for; `off`, false in YAML, is right everywhere."""
    file = tmp_path / "accounts.yaml"
    keys = (f"key_sha256: {ONE}", f"key_sha256: {TWO}")
    file.write_text(
        f"accounts: [{{id: a, {keys[0]}, budget: 8, class_cap: 3}}, "
        f"{{id: b, {keys[1]}, breadth: 2, class_cap: off}}]\n"
        "groups: [{id: g, class_cap: 'off'}, {id: h, class_cap: 20}]"
    )
    accounts = read_accounts(file)
    assert [entry.crossing for entry in accounts.accounts] == [
        CrossingPolicy(8, 0, 3),
        CrossingPolicy(0, 2, CAP_OFF),
    ]
    assert [group.crossing for group in accounts.groups] == [
        CrossingPolicy(0, 0, CAP_OFF),
        CrossingPolicy(0, 0, 20),
    ]
    accounts.require_budgets(24)
    with pytest.raises(ConfigError, match="entry 1, class_cap: expected at most 2 budgets, or off"):
        accounts.require_budgets(23)
    with pytest.raises(ConfigError, match="tier 1, budget: expected at most 24"):
        AccountsFile(accounts=[], tiers=[TierEntry(id="t", budget=25)]).require_budgets(24)
    with pytest.raises(ConfigError, match="group 2, class_cap: expected at most 24"):
        AccountsFile(
            accounts=[], groups=[accounts.groups[0], GroupEntry(id="i", class_cap="25")]
        ).require_budgets(24)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("null", None),
    ],
)
def test_an_expiry_is_a_moment_in_utc(tmp_path: Path, text: str, moment: datetime | None) -> None:
    """Unless it names another zone; a date alone is its beginning."""
    file = tmp_path / "accounts.yaml"
    file.write_text(f"accounts: [{{id: a, keys: [{{sha256: {ONE}, expires: {text}}}]}}]")
    ((key,),) = (entry.all_keys for entry in read_accounts(file).accounts)
    assert key.expires == moment
    assert key.sha256 == ONE


def test_an_id_may_look_like_a_date(tmp_path: Path) -> None:
    """Also like one that no calendar has."""
    file = tmp_path / "accounts.yaml"
    file.write_text(f"accounts: [{{id: 2025-02-30, key_sha256: {ONE}}}]")
    assert [entry.id for entry in read_accounts(file).accounts] == ["2025-02-30"]


@given(
    st.binary(max_size=60) | st.text(alphabet="{}[]:,-&*!?|>'\"#%@`~ \n\tab012.<=eE_", max_size=40)
)
@settings(max_examples=300)
def test_any_bytes_are_accounts_or_a_sentence(content: bytes | str) -> None:
    """Nothing else comes out, so no slip in the file can end the task that follows it."""
    text = content if isinstance(content, bytes) else b"accounts: " + content.encode()
    try:
        told: object = parse_accounts(text, Path("accounts.yaml"))
    except ConfigError as error:
        told = str(error)
    assert isinstance(told, AccountsFile) or str(told).startswith("accounts.yaml: ")
