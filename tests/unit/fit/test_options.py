import re
from pathlib import Path
from typing import Any

import pytest

from queen.errors import FitError
from queen.fit.options import FitOptions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shadows": 0}, "shadows of at least 1, got 0"),
        ({"budget": 0}, "budget of at least 1"),
        ({"shadow_steps": 0}, "shadow_steps of at least 1"),
        ({"shadow_epochs": 0}, "shadow_epochs of at least 1"),
        ({"mapping_epochs": 0}, "mapping_epochs of at least 1"),
        ({"shadow_flip_rate": 0.0}, "flip rate in (0, 1], got 0.0"),
        ({"shadow_flip_rate": 1.1}, "flip rate in (0, 1], got 1.1"),
        ({"shadow_flip_rate": float("nan")}, "flip rate in (0, 1]"),
        ({"shadow_rate": 0.0}, "learning rate between 0 and 1, got 0.0"),
        ({"shadow_rate": float("nan")}, "learning rate between 0 and 1"),
        ({"false_flags": 0.0}, "false flags between 0 and 0.5, got 0.0"),
        ({"false_flags": 0.5}, "false flags between 0 and 0.5"),
        ({"false_flags": float("nan")}, "false flags between 0 and 0.5"),
        ({"shadows": 3, "shadows_drawn": 4}, "draw 1 to 3 shadows, got 4"),
        ({"coverage_fraction": 1.5}, "between 0 and 1, got 1.5"),
        ({"coverage_fraction": float("nan")}, "between 0 and 1"),
        ({"seed": -1}, "seed"),
        ({"input_range": "on"}, "input range of auto, off or two finite bounds"),
        ({"input_range": (1.0, 0.0)}, "the low one first, got (1.0, 0.0)"),
        ({"input_range": (0.0, float("inf"))}, "two finite bounds"),
        ({"input_range": (float("nan"), 1.0)}, "two finite bounds"),
        ({"shadows_on": "labels"}, "inputs or features"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any], words: str) -> None:
    """Before anything is read."""
    with pytest.raises(FitError, match=re.escape(words)):
        FitOptions(Path("m.onnx"), Path("d.npz"), Path("out"), **wrong)


def test_a_model_without_a_name_is_called_as_its_file() -> None:
    """The stem of the file, unless a name is given."""
    paths = (Path("models/digits.onnx"), Path("d.npz"), Path("out"))
    assert FitOptions(*paths).model_name == "digits"
    assert FitOptions(*paths, name="numbers").model_name == "numbers"
