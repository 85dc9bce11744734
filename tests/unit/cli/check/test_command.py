import pytest
from click.testing import CliRunner

from queen.cli import main
from queen.cli.accounts.accounts_file import account_lines


def run(*argv):
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in argv])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max_batch_row: 8\n", "unknown key max_batch_row"),
        ("port: many\n", "port"),
        ("failure_mode: allow\n", "allow-clean-answers"),
    ],
)
def test_a_settings_typo_is_found(tmp_path, content, expected):
    """A wrong settings file is one sentence with the key at fault."""
    (tmp_path / "c.yaml").write_text(content)
    ran = run("check", tmp_path / "c.yaml", "--service", "inference")
    assert ran.exit_code == 1
    assert expected in ran.stderr


@pytest.mark.parametrize("service", ["inference", "sensitivity", "perturber"])
def test_good_settings_pass(tmp_path, service):
    """A settings file with keys that exist passes for every service."""
    state = "state: memory\n" if service == "sensitivity" else ""
    (tmp_path / "c.yaml").write_text(f"port: 0\nlog_level: debug\n{state}")
    assert run("check", tmp_path / "c.yaml", "--service", service).exit_code == 0


def test_accounts_files_are_told_apart(tmp_path):
    """An accounts file is checked as one; a wrong digest in it is found."""
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts:\n" + account_lines("a", "key"))
    assert run("check", file).exit_code == 0
    file.write_text("accounts:\n  - {id: a, key_sha256: short}\n")
    ran = run("check", file)
    assert ran.exit_code == 1
    assert "entry 1, key_sha256" in ran.stderr


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("nowhere", None, "there is no such file or folder"),
        ("model.onnx", "", "a model is not a bundle yet; make one with `queen fit`"),
        ("c.yaml", "accounts: accounts.yaml\n", "add --service inference"),
        ("c.yaml", "port: 1\n", "settings of which service?"),
    ],
)
def test_a_path_that_no_check_fits_is_refused(tmp_path, name, content, expected):
    """The sentence says how to go on."""
    if content is not None:
        (tmp_path / name).write_text(content)
    ran = run("check", tmp_path / name)
    assert ran.exit_code == 1
    assert expected in ran.output


def test_groups_that_look_alike_are_named(tmp_path):
    """An accounts file is sound with them, and its operator is told."""
    file = tmp_path / "accounts.yaml"
    file.write_text(
        'accounts: [{id: a, san: [a], group: acme}, {id: b, san: [b], group: "a\\u00adcme"}]'
    )
    ran = CliRunner().invoke(main, ["check", str(file)])
    assert ran.exit_code == 0
    assert r"'acme', 'a\xadcme'" in ran.stdout
