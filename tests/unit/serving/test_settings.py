"""Settings: precedence, and a sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from queen.errors import ConfigError
from queen.serving.settings import ServiceSettings, load_settings, validate_settings_file


class ToySettings(ServiceSettings):
    """Settings of no service."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_TOY_")

    port: int = Field(default=9001, ge=0, le=65535)
    """Port of the toy."""
    metrics_port: int = Field(default=-1, ge=-1, le=65535)
    """Port of its metrics."""
    loud: bool = False
    """Whether it squeaks."""
    token: SecretStr = SecretStr("")
    """Its secret."""


def write(folder: Path, text: str) -> str:
    """A settings file."""
    file = folder / "toy.yaml"
    file.write_text(text)
    return str(file)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of three settings comes from the highest source that names it."""
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


def test_secrets_are_masked_in_what_is_shown() -> None:
    """Neither the effective settings nor an error about a secret repeats it."""
    settings = load_settings(ToySettings, ["--bundle", "b", "--token", "hunter2"])
    assert "hunter2" not in str(settings.describe_effective())


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
