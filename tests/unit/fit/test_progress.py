import re

import pytest
from rich.console import Console

from queen.fit.progress import FitProgress


def test_steps_and_their_parts_are_shown() -> None:
    """A terminal shows every step with the parts that are done."""
    console = Console(force_terminal=True, width=100)
    progress = FitProgress(console)
    with console.capture() as capture, progress.shown():
        with progress.step("train") as update:
            update(3, 7)
        with progress.step("measure"):
            pass
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capture.get())
    assert "train" in shown
    assert "7/7" in shown
    assert "measure" in shown
    assert list(progress.seconds) == ["train", "measure"]


def test_without_a_console_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The times are kept all the same."""
    progress = FitProgress(None)
    with progress.shown(), progress.step("train") as update:
        update(1, 2)
    assert capsys.readouterr().out == ""
    assert progress.seconds["train"] >= 0
