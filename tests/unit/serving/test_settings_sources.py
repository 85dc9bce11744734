"""Settings: precedence, and a sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.serving.settings_sources import (
    load_settings,
    require_no_password,
    validate_settings_file,
)
from tests.unit.serving.toy_settings import Color, ToySettings


def write(folder: Path, text: str) -> str:
    """A settings file."""
    file = folder / "toy.yaml"
    file.write_text(text)
    return str(file)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting comes from the highest source that names it."""
    file = write(tmp_path, "port: 1\nhost: file\nlog_level: debug\nbundle: b\n")
    monkeypatch.setenv("QUEEN_TOY_PORT", "2")
    monkeypatch.setenv("QUEEN_TOY_HOST", "environment")
    settings = load_settings(ToySettings, ["--config", file, "--port", "3", "--loud"])
    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "debug")
    assert settings.loud
    assert settings.drain_seconds == 5.0


@pytest.mark.parametrize(
    ("argv", "environment", "text", "words"),
    [
        (["--prot", "3"], {}, "", ("--prot", "--port", "flag")),
        ([], {"QUEEN_TOY_PROT": "3"}, "", ("QUEEN_TOY_PROT", "QUEEN_TOY_PORT", "environment")),
        ([], {}, "prot: 3", ("prot", "port", "toy.yaml")),
        (["--port", "many"], {}, "", ("--port", "flag", "many")),
        ([], {"QUEEN_TOY_PORT": "tcp://10.0.0.1:80"}, "", ("enableServiceLinks",)),
        ([], {}, "port: 70000", ("port", "65535", "toy.yaml")),
        ([], {}, "- port", ("toy.yaml", "list")),
        ([], {}, "port: [", ("toy.yaml", "YAML")),
        (["--port"], {}, "", ("--port",)),
    ],
)
def test_a_mistake_is_one_sentence_that_names_key_and_source(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    environment: dict[str, str],
    text: str,
    words: tuple[str, ...],
) -> None:
    """The error of a typo or a bad value holds what an operator needs, on one line."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(ToySettings, ["--config", file, "--bundle", "b", *argv])
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_setting_is_named_in_every_spelling() -> None:
    """A required setting that is nowhere is asked for by flag and by variable."""
    with pytest.raises(ConfigError, match=r"--bundle.*QUEEN_TOY_BUNDLE"):
        load_settings(ToySettings, [])


def test_a_missing_settings_file_is_named() -> None:
    """A path that is not there is in the sentence."""
    with pytest.raises(ConfigError, match=r"/nowhere/toy\.yaml"):
        load_settings(ToySettings, ["--config", "/nowhere/toy.yaml"])


def test_a_settings_file_is_checked_without_what_flags_may_give(tmp_path: Path) -> None:
    """A file without the bundle passes the check; one with a typo does not."""
    validate_settings_file(ToySettings, Path(write(tmp_path, "port: 1")))
    with pytest.raises(ConfigError, match="closest"):
        validate_settings_file(ToySettings, Path(write(tmp_path, "ports: 1")))


def test_help_lists_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    """--help names each flag, what it does and what it is without being given."""
    with pytest.raises(SystemExit) as caught:
        load_settings(ToySettings, ["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert "--max-message-bytes" in shown
    assert "Port of the toy. (default: 9001)" in " ".join(shown.split())


def test_an_enumeration_is_given_by_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag accepts, and --help shows, what the environment and the file accept."""
    assert load_settings(ToySettings, ["--bundle", "b", "--color", "navy"]).color is Color.BLUE
    with pytest.raises(SystemExit):
        load_settings(ToySettings, ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--color {crimson,navy}" in shown
    assert "Its paint, 100% washable. (default: crimson)" in shown
    with pytest.raises(ConfigError, match=r"--color \(flag\).*'crimson' or 'navy', got 'pink'"):
        load_settings(ToySettings, ["--bundle", "b", "--color", "pink"])


def test_a_truth_value_can_be_switched_off_by_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that the environment switches on is switched off by --no-..."""
    monkeypatch.setenv("QUEEN_TOY_LOUD", "true")
    assert load_settings(ToySettings, ["--bundle", "b"]).loud
    assert not load_settings(ToySettings, ["--bundle", "b", "--no-loud"]).loud


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the environment is read, and a file of a flag is read in its place."""
    monkeypatch.setenv("QUEEN_TOY_CONFIG", write(tmp_path, "bundle: b\nport: 7"))
    assert load_settings(ToySettings, []).port == 7
    other = tmp_path / "other.yaml"
    other.write_text("bundle: b\nport: 8")
    assert load_settings(ToySettings, ["--config", str(other)]).port == 8


def test_the_file_cannot_name_another_file(tmp_path: Path) -> None:
    """`config` is no setting."""
    with pytest.raises(ConfigError, match="unknown key config"):
        load_settings(ToySettings, ["--config", write(tmp_path, "config: other.yaml")])


def test_an_error_about_a_secret_does_not_repeat_it(tmp_path: Path) -> None:
    """A secret of the wrong type is not told to the log."""
    file = write(tmp_path, "token: [hunter2]")
    with pytest.raises(ConfigError, match="token") as refusal:
        load_settings(ToySettings, ["--bundle", "b", "--config", file])
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["--store=redis://user:hunter2@host:6379"],
        ["--store", "redis://:hunter2@host"],
    ],
)
def test_no_password_stands_on_a_command_line(argv: list[str]) -> None:
    """Other sources may hold a URL with one; the sentence does not repeat it."""
    with pytest.raises(ConfigError, match="no password on a command line") as caught:
        require_no_password(["--bundle", "b", *argv])
    assert "hunter2" not in str(caught.value)
    plain = ["--bundle", "b", "--store", "redis://user@host:6379"]
    assert require_no_password(plain) == plain
