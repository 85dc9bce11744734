"""`queen demo`: the demo that the options ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from queen.cli.demo import command
from queen.demo import story
from queen.demo.scenario import DemoOptions


def test_options_become_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits unless another set is named, with the scenario's budget unless one is given."""
    asked: list[DemoOptions] = []
    monkeypatch.setattr(story, "run_demo", lambda options, _console: asked.append(options))
    assert CliRunner().invoke(command, []).exit_code == 0
    argv = ["--dataset", "fashion-mnist", "--budget", "9", "--seed", "2", "--out", str(tmp_path)]
    assert CliRunner().invoke(command, argv).exit_code == 0
    assert asked == [DemoOptions(), DemoOptions("fashion-mnist", tmp_path, None, 9, 2)]


def test_an_unknown_set_is_a_usage_error() -> None:
    """The known ones are named."""
    done = CliRunner().invoke(command, ["--dataset", "imagenet"])
    assert done.exit_code == 2
    assert "fashion-mnist" in done.output
