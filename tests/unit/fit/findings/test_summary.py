from dataclasses import replace
from pathlib import Path

from rich.console import Console

from queen.bundle import MeterSpec
from queen.fit.findings.coverage import ClassCoverage
from queen.fit.findings.profile_prices import ProfilePrice
from queen.fit.findings.summary import print_outcome
from queen.fit.outcome import FitOutcome, FitReport
from tests.unit.bundle.made import manifest

REPORT = FitReport(
    seed=0,
    samples=1200,
    protectee={"accuracy": 0.97, "features_tensor": "f"},
    mapping={
        "separability": {"training": 0.98, "held_out": 0.95},
        "inside": {"training": 0.6, "held_out": 0.55},
    },
    shadows={
        "count": 2,
        "architecture": "head",
        "on": "features",
        "steps": 40,
        "accuracy": 0.6,
        "flip_rate": 0.93,
    },
    off_distribution={"false_flags": {"1000": 0.0002, "10000": 0.001}},
    largest_budget=4000,
    classes=[ClassCoverage(name, 400, 400, 0.6, 90, 0.02, 1.0) for name in ("cat", "dog", "bird")],
)
METER = MeterSpec(rise=1.5, fall=0.25, limit=10.0, false_flags={"1000": 0.0002, "10000": 0.001})
OUTCOME = FitOutcome(
    *(Path("bundle"), manifest(meter=METER, digest="5e" * 32), REPORT, 10, [0.01] * 3, 1234),
    prices=[
        ProfilePrice("observe", 0.0, 0.0, 0.0, 0.961),
        ProfilePrice("strict", 0.9, 1.75, 0.0, 0.382),
    ],
    seconds={"measure": 2.0},
)


def _printed(outcome: FitOutcome) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        print_outcome(outcome, console)
    return capture.get()


def test_the_price_of_a_profile_is_printed() -> None:
    """One line a profile, beside the copy that a thief is left with."""
    lines = [line for line in _printed(OUTCOME).splitlines() if "strict" in line]
    assert len(lines) == 1
    for figure in ("90.0%", "0.00", "1.75", "38.2%"):
        assert figure in lines[0]


def test_the_honest_volume_stands_beside_the_false_flags() -> None:
    """How much may be asked before an answer is reversed, and who is flagged for nothing."""
    printed = _printed(OUTCOME)
    for words in ("1,234 queries", "0.02% of such accounts", "0.10% within 10,000"):
        assert words in printed


def test_a_volume_that_nothing_limits_is_said_so() -> None:
    """A budget that the whole training set does not spend is worth a sentence."""
    assert "a whole pass over the training set" in _printed(replace(OUTCOME, honest_volume=None))
