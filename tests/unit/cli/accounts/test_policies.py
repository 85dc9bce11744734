import json

import pytest

from queen.cli.accounts.policies import find_policies
from queen.errors import ConfigError
from queen.serving.auth import key_digest

CONTENT = f"""
groups:
  - {{id: acme, budget: 300}}
accounts:
  - {{id: web, key_sha256: {key_digest("a")}, group: acme, profile: safe}}
  - {{id: batch, key_sha256: {key_digest("b")}, group: acme, budget: 200}}
  - {{id: checks, key_sha256: {key_digest("c")}, exempt: true}}
"""


@pytest.fixture
def file(tmp_path):
    """An accounts file with a group, an own budget and an exempt account."""
    path = tmp_path / "accounts.yaml"
    path.write_text(CONTENT)
    return path


def test_an_account_has_its_own_budget_and_a_group_its_own(file, tmp_path):
    """An account's budget is never its group's; who states none has the service's default."""
    found = find_policies(file, None, tmp_path)
    assert found.budgets == {"batch": 200, "group acme": 300}
    assert (found.group("web"), found.group("checks"), found.group("x")) == ("acme", None, None)


def test_what_is_stated_is_said_in_words(file, tmp_path):
    """Group, profile, exemption; a ledger without an entry is told from one without a policy."""
    found = find_policies(file, None, tmp_path)
    owners = ("web", "batch", "checks", "gone", "group acme")
    words = ["group acme, safe", "group acme", "exempt", "no entry", ""]
    assert [found.words(owner) for owner in owners] == words
    assert [found.is_exempt(owner) for owner in owners] == [False, False, True, False, False]


def test_the_file_of_the_running_deployment_is_found(file, tmp_path):
    """By up.json; not where another admin port is named, and not without a deployment."""
    assert find_policies(None, None, tmp_path) is None
    (tmp_path / "up.json").write_text(json.dumps({"accounts": str(file)}))
    assert find_policies(None, None, tmp_path).budgets["batch"] == 200
    assert find_policies(None, "127.0.0.1:8103", tmp_path) is None


@pytest.mark.parametrize("content", [None, "accounts: 3\n"])
def test_a_broken_file_hides_no_account(tmp_path, capsys, content):
    """One that was found is said to be broken; one that was given is refused."""
    file = tmp_path / "accounts.yaml"
    if content is not None:
        file.write_text(content)
    (tmp_path / "up.json").write_text(json.dumps({"accounts": str(file)}))
    assert find_policies(None, None, tmp_path) is None
    assert "default budget" in capsys.readouterr().err
    with pytest.raises((ConfigError, OSError)):
        find_policies(file, None, tmp_path)
