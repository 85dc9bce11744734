"""The command `queen up`, short of a start."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from queen.cli import main
from queen.cli.up.preparation import EXIT_REFUSED
from queen.defaults import PROFILE


def test_a_bundle_that_is_missing_ends_the_command(tmp_path: Path) -> None:
    """With one sentence, the exit code of a refusal, and no state folder made."""
    argv = ["up", "--bundle", str(tmp_path / "none"), "--state", str(tmp_path / "state")]
    ran = CliRunner().invoke(main, argv)
    assert (ran.exit_code, ran.stdout) == (EXIT_REFUSED, "")
    assert "no bundle here" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "70000"],
        ["--profile", "kind"],
        ["--replicas", "0"],
        ["--budget", "0"],
        ["--breadth", "0"],
        ["--class-cap", "none"],
    ],
)
def test_a_value_that_no_service_accepts_is_a_usage_error(flags: list[str]) -> None:
    """Before anything is read."""
    ran = CliRunner().invoke(main, ["up", "--bundle", "b", *flags])
    assert ran.exit_code == 2
    assert flags[0] in ran.stderr


def test_no_password_stands_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of the machine could read it; the environment is the owner's alone."""
    url, argv = "redis://me:hidden@127.0.0.1:1", ["up", "--bundle", str(tmp_path / "none")]
    ran = CliRunner().invoke(main, [*argv, "--state", url])
    assert (ran.exit_code, "QUEEN_STATE" in ran.stderr) == (2, True)
    assert "hidden" not in ran.output
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, argv, env={"QUEEN_STATE": url})
    assert "no bundle here" in ran.stderr


def test_help_names_every_option_with_its_default() -> None:
    """An operator sees what is chosen if nothing is said."""
    shown = " ".join(CliRunner().invoke(main, ["up", "--help"]).output.split())
    for words in (
        "[default: .queen]",
        "[default: 8001",
        f"[default: {PROFILE.value}]",
        "[default: protect]",
    ):
        assert words in shown
