from dataclasses import replace
from typing import Any

import pytest

from queen.fit.findings.advice import find_warnings
from queen.fit.findings.coverage import ClassCoverage
from queen.fit.outcome import FitReport

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
def test_a_weakness_of_the_defense_is_said(part: dict[str, Any], words: str) -> None:
    """Each weakness has one sentence with a way out."""
    (warning,) = find_warnings(replace(GOOD, **part), [0.01, 0.003], 10)
    assert words in warning
