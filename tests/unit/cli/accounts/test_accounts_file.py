import pytest
import yaml

from queen.cli.accounts.accounts_file import (
    NewAccount,
    account_lines,
    appended,
    group_lines,
    new_key,
    policies_of,
)
from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.serving.accounts import read_accounts
from queen.serving.auth import key_digest

POLICY = "budget: 200, breadth: 5, class_cap: off"
CONTENT = f"""
groups:
  - {{id: acme, budget: 300, class_cap: 3}}
accounts:
  - {{id: web, key_sha256: {key_digest("a")}, group: acme, profile: safe}}
  - {{id: batch, key_sha256: {key_digest("b")}, group: acme, {POLICY}}}
  - {{id: checks, key_sha256: {key_digest("c")}, exempt: true}}
"""


@pytest.fixture
def policies(tmp_path):
    """Policies of a file with a group, an own budget and an exempt account."""
    path = tmp_path / "accounts.yaml"
    path.write_text(CONTENT)
    return policies_of(read_accounts(path))


def test_an_account_has_its_own_policy_and_a_group_its_own(policies):
    """An account's policy is never its group's; an account without one has the service's."""
    assert policies.crossings == {
        "batch": CrossingPolicy(200, 5, CAP_OFF),
        "group acme": CrossingPolicy(300, 0, 3),
    }
    groups = [policies.group(name) for name in ("web", "checks", "x")]
    assert groups == ["acme", None, None]


def test_stated_policies_are_shown_in_words(policies):
    """Group, profile, exemption, breadth and cap; a ledger without an entry is told from others."""
    owners = ("web", "batch", "checks", "gone", "group acme")
    words = [
        *("group acme, safe", "group acme, breadth 5, class cap off", "exempt", "no entry"),
        "class cap 3",
    ]
    assert [policies.words(owner) for owner in owners] == words
    assert [policies.is_exempt(owner) for owner in owners] == [False, False, True, False, False]


def test_a_form_that_cannot_be_appended_to_is_left_alone(tmp_path):
    """A flow-style list is not edited blindly."""
    file = tmp_path / "accounts.yaml"
    file.write_text(f"accounts: [{{id: a, key_sha256: '{'ab' * 32}'}}]\n")
    with pytest.raises(ConfigError, match="by hand"):
        appended(file, NewAccount("b", "key"))


def test_an_account_is_not_appended_to_the_groups(tmp_path):
    """If the groups stand last in the file, the operator has to add the lines."""
    file = tmp_path / "accounts.yaml"
    lines = "accounts:\n" + account_lines("a", "key") + "groups:\n  - {id: g, budget: 9}\n"
    file.write_text(lines)
    with pytest.raises(ConfigError, match="by hand"):
        appended(file, NewAccount("b", "key"))


@pytest.mark.parametrize("account_id", ["a: b", 'c"', "[d]", "ä"])
def test_entries_are_yaml_whatever_an_id_has(account_id):
    """An id with a colon or a quote is no trap."""
    assert yaml.safe_load(group_lines([account_id, "e"], "linked-1")) == [
        {"id": account_id, "group": "linked-1"},
        {"id": "e", "group": "linked-1"},
    ]
    (entry,) = yaml.safe_load(
        NewAccount(account_id, "key", policy={"budget": 7, "tier": None}).lines()
    )
    assert entry == {"id": account_id, "key_sha256": key_digest("key"), "budget": 7}


def test_a_key_that_expires_has_the_long_form():
    """A list of keys, in which a second one has its place."""
    (entry,) = yaml.safe_load(NewAccount("a", "key", "2027-01-31").lines())
    assert entry == {"id": "a", "keys": [{"sha256": key_digest("key"), "expires": "2027-01-31"}]}


def test_an_entry_that_the_file_has_no_room_for_is_a_sentence(tmp_path):
    """A tier that the file does not have, for instance; the front door would refuse the file."""
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts: []\n")
    with pytest.raises(ConfigError, match="entry 1, tier"):
        appended(file, NewAccount("b", "key", policy={"tier": "gold"}))


def test_a_tier_is_part_of_the_policy(tmp_path):
    """Its crossing policy is shown as the account's own."""
    path = tmp_path / "accounts.yaml"
    path.write_text(
        "tiers: [{id: gold, budget: 9}]\naccounts: [{id: a, subject: s, tier: gold, breadth: 2}]"
    )
    policies = policies_of(read_accounts(path))
    assert policies.crossings == {"a": CrossingPolicy(9, 2, 0)}
    assert policies.words("a") == "tier gold, breadth 2"


def test_no_two_keys_are_alike():
    """A key has a prefix that scanners for leaked keys know."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("queen_") and len(key) > 40 for key in keys)
