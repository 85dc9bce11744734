import re
from datetime import UTC, datetime, timedelta

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


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (["--subject", "client-7"], {"subject": "client-7"}),
        (["--san", "a.test", "--san", "b.test"], {"san": ["a.test", "b.test"]}),
    ],
)
def test_other_credentials_need_no_key(flags, fields):
    """Then no key is made, and none is printed."""
    ran = CliRunner().invoke(main, ["accounts", "new", "web", *flags])
    (entry,) = yaml.safe_load(ran.stderr.split("add to accounts.yaml:\n")[1])
    assert entry == {"id": "web", **fields}
    assert ran.stdout == ""
    ran = CliRunner().invoke(main, ["accounts", "new", "web", *flags, "--expires", "2027-01-31"])
    assert ran.exit_code == 1


def test_a_key_may_expire(tmp_path):
    """The file says when, to the second."""
    file = tmp_path / "accounts.yaml"
    argv = ["accounts", "new", "trial", "--expires", "2027-01-31", "--file", str(file)]
    assert CliRunner().invoke(main, argv).exit_code == 0
    ((key,),) = (entry.all_keys for entry in read_accounts(file).accounts)
    assert key.expires == datetime(2027, 1, 31, tzinfo=UTC)


def test_a_second_key_works_beside_the_first(tmp_path):
    """Its lines hold both, the old one with the day of its end; a third is refused."""
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts:\n" + account_lines("a", "old"))
    argv = ["accounts", "new-key", "a", "--file", str(file), "--days", "3"]
    ran = CliRunner().invoke(main, argv)
    lines = yaml.safe_load(ran.stderr.split("\n", 1)[1].rsplit("the new key", 1)[0])
    old, new = lines["keys"]
    assert (old["sha256"], new) == (key_digest("old"), {"sha256": key_digest(ran.stdout.strip())})
    file.write_text(yaml.safe_dump({"accounts": [{"id": "a", **lines}]}))
    first, second = read_accounts(file).accounts[0].all_keys
    assert second.expires is None
    assert timedelta(days=2.9) < first.expires - datetime.now(UTC) <= timedelta(days=3)
    ran = CliRunner().invoke(main, argv)
    assert (ran.exit_code, "2 keys already" in ran.stderr) == (1, True)
    ran = CliRunner().invoke(main, ["accounts", "new-key", "b", "--file", str(file)])
    assert (ran.exit_code, "expected an account 'b'" in ran.stderr) == (1, True)


def test_a_group_that_looks_like_another_is_told(tmp_path):
    """Its accounts would share no budget."""
    file = tmp_path / "accounts.yaml"
    for name, group in (("a", "acme"), ("b", "ACME"), ("c", "other")):
        argv = ["accounts", "new", name, "--group", group, "--file", str(file)]
        said = CliRunner().invoke(main, argv).stderr
        assert ("look alike" in said) is (name != "a")
    assert "'acme', 'ACME'" in said
