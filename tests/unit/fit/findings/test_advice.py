import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from queen.errors import FitError
from queen.fit.findings.advice import find_warnings
from queen.fit.findings.coverage import ClassCoverage
from queen.fit.options import FitOptions, FitReport

GOOD = FitReport(
    seed=0,
    samples=100,
    protectee={"accuracy": 0.97},
    mapping={
        "separability": {"training": 0.98, "held_out": 0.95},
        "inside": {"training": 0.6, "held_out": 0.55},
    },
    shadows={"accuracy": 0.6, "flip_rate": 0.99, "steps": 40},
    off_distribution={"false_flags": {"1000": 0.0, "10000": 0.001}},
    largest_budget=4000,
    classes=[
        ClassCoverage("ant", 50, 50, 0.6, 90, 0.02, 1.0),
        ClassCoverage("bee", 50, 50, 0.6, 20, 0.004, 1.0),
    ],
)


def test_a_good_fit_is_not_warned_about() -> None:
    """No sentence without a reason."""
    assert find_warnings(GOOD, [0.01, 0.003], 10) == []


def test_a_class_that_cannot_reach_its_threshold_is_named() -> None:
    """Only that one."""
    (warning,) = find_warnings(GOOD, [0.01, 0.01], 50)
    assert "bee (20 records)" in warning
    assert "ant" not in warning


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"protectee": {"accuracy": 0.1}}, "only 10.0% of the labels"),
        (
            {"shadows": {"accuracy": 0.95, "flip_rate": 0.2, "steps": 40}},
            "20.0% of the answers, since the shadows are good after 40 steps (95.0%): train them "
            "less, with --shadow-flip-rate 0.9",
        ),
        (
            {"shadows": {"accuracy": 0.95, "flip_rate": 0.2, "steps": 10}},
            "the profiles balanced and strict do without them",
        ),
        (
            {"mapping": GOOD.mapping | {"separability": {"training": 0.9, "held_out": 0.5}}},
            "regions overlap",
        ),
        (
            {"mapping": GOOD.mapping | {"inside": {"training": 0.6, "held_out": 0.2}}},
            "fewer --mapping-epochs",
        ),
    ],
)
def test_what_weakens_the_defence_is_said(part: dict[str, Any], words: str) -> None:
    """Each weakness has one sentence with a way out."""
    (warning,) = find_warnings(replace(GOOD, **part), [0.01, 0.003], 10)
    assert words in warning


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
        ({"shadows_on": "labels"}, "inputs or features"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any], words: str) -> None:
    """Before anything is read."""
    with pytest.raises(FitError, match=re.escape(words)):
        FitOptions(Path("m.onnx"), Path("d.npz"), Path("out"), **wrong)
