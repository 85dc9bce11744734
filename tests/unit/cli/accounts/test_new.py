import re

import pytest
import yaml
from click.testing import CliRunner

from queen.cli import main
from queen.cli.accounts.accounts_file import account_lines
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.serving.accounts import read_accounts
from queen.serving.auth import key_digest

POLICY = ["--budget", "7", "--breadth", "5", "--class-cap", "off", "--profile", "safe"]


@pytest.mark.parametrize(
    "before",
    [
        None,
        "accounts: []\n",
        "# mine\naccounts:\n  # first\n  - id: a\n    key_sha256: " + "ab" * 32 + "\n",
        "accounts:\n- id: a\n  key_sha256: " + "ab" * 32,
        "groups:\n  - {id: g, budget: 9}\naccounts:\n  - id: a\n    key_sha256: " + "ab" * 32,
    ],
)
def test_new_account_is_appended_to_any_form(tmp_path, before):
    """`accounts new --file` keeps what is there, comments too, and the new key opens the door."""
    file = tmp_path / "accounts.yaml"
    if before is not None:
        file.write_text(before)
    ran = CliRunner().invoke(main, ["accounts", "new", "b:1", *POLICY, "--file", str(file)])
    assert ran.exit_code == 0, ran.output
    entry = read_accounts(file).accounts[-1]
    assert (entry.id, entry.profile) == ("b:1", "safe")
    assert entry.crossing == CrossingPolicy(7, 5, CAP_OFF)
    assert entry.key_sha256 == key_digest(ran.stdout.strip())
    comments = re.findall("#.*", before or "")
    assert all(comment in file.read_text() for comment in comments)
    assert ran.stdout.strip() not in file.read_text()


def test_same_id_twice_is_refused_and_nothing_changes(tmp_path):
    """A second account of one id is a sentence; the file stays as it was."""
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts:\n" + account_lines("a", "key"))
    before = file.read_text()
    ran = CliRunner().invoke(main, ["accounts", "new", "a", "--file", str(file)])
    assert ran.exit_code == 1
    assert "already" in ran.stderr
    assert file.read_text() == before


def test_lines_without_a_file_are_yaml():
    """Without --file the key is alone on stdout and the lines to add are on stderr."""
    ran = CliRunner().invoke(main, ["accounts", "new", "acme", "--group", "a: b"])
    lines = ran.stderr.split("add to accounts.yaml:\n")[1].split("its key")[0]
    (entry,) = yaml.safe_load(lines)
    assert entry == {"id": "acme", "key_sha256": key_digest(ran.stdout.strip()), "group": "a: b"}


def test_an_id_with_spaces_is_refused():
    """The front door would refuse it, too."""
    ran = CliRunner().invoke(main, ["accounts", "new", "two words"])
    assert ran.exit_code == 1
    assert "without spaces" in ran.stderr
