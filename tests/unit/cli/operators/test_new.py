"""Operators, made on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from queen.cli.operators.new import operator
from queen.errors import ConfigError
from queen.serving.ports.operators import Role, operator_digest, read_operators


def run(*words: str) -> Result:
    """`queen accounts operator`."""
    return CliRunner().invoke(operator, words)


def test_an_operator_is_made_and_added(tmp_path: Path) -> None:
    """The key alone is on stdout, the file holds its digest, and keeps its mode and the others."""
    file = tmp_path / "operators.yaml"
    first = run("ana", "--role", "act", "--file", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    second = run("dashboard", "--file", str(file))
    ana, dashboard = read_operators(file).operators
    assert (ana.name, ana.role, ana.key_sha256) == (
        "ana",
        Role.ACT,
        operator_digest(first.stdout.strip()),
    )
    assert (dashboard.name, dashboard.role) == ("dashboard", Role.READ)
    assert first.stdout.strip() not in file.read_text()
    assert second.stdout.strip() not in second.stderr
    assert file.stat().st_mode & 0o777 == 0o640


def test_without_a_file_the_lines_are_printed() -> None:
    """Beside the key, on stderr."""
    ran = run("ana")
    assert 'name: "ana"' in ran.stderr
    assert operator_digest(ran.stdout.strip()) in ran.stderr


@pytest.mark.parametrize("name", ["", "-ana", "a b", "a" * 65, "\u0430na"])
def test_a_name_that_the_audit_could_not_show_is_refused(name: str) -> None:
    """Letters, digits and a few signs: no name looks like another."""
    ran = run("--", name)
    assert isinstance(ran.exception, ConfigError)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    """The file stays as it was."""
    file = tmp_path / "operators.yaml"
    run("ana", "--file", str(file))
    before = file.read_text()
    assert isinstance(run("ana", "--file", str(file)).exception, ConfigError)
    assert file.read_text() == before
